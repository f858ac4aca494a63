"""The small parts of the IPA: activation codes, addresses, trust, memory, state file, drivers, clock."""

from __future__ import annotations

import asyncio
import ssl
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.card_lab import Lab

from keim.app.ipa import IpaConfig, configuration_of
from keim.errors import Refused, StoreFailed, TimedOut
from keim.io.card_address import OpenedCard
from keim.io.drive import drive, drive_async
from keim.io.ipa_state import StateFile
from keim.io.ipa_tls import NO_CHECK_TIME, eim_context
from keim.ipa.activation_code import ActivationCode
from keim.ipa.configuration import Device
from keim.ipa.data_request import tags_of
from keim.ipa.effects import Effect, Now, Procedure, Wait, ask
from keim.ipa.memory import DownloadNote, EimNote, Memory, Undelivered
from keim.ipa.trust import Trust, peer_of
from keim.ipa.virtual import EPOCH, After, VirtualClock
from keim.messages.esipa import StateChangeCause
from keim.messages.package import EimConfigurationData, EimIdType

CODES = [
    ("1$smdp.example.com$ABC-1", ActivationCode("smdp.example.com", "ABC-1")),
    ("LPA:1$smdp.example.com$", ActivationCode("smdp.example.com", "")),
    ("1$smdp.example.com:8443$A$2.999.10", None),
    ("1$s$A$$1", ActivationCode("s", "A", None, True)),
    ("1$s$A$$0$unknown$more", ActivationCode("s", "A")),
]


@pytest.mark.parametrize(("text", "code"), CODES)
def test_activation_codes_are_read(text: str, code: ActivationCode | None) -> None:
    found = ActivationCode.parse(text)
    if code is not None:
        assert found == code
    else:
        assert (found.address, str(found.smdp_oid)) == ("smdp.example.com:8443", "2.999.10")


@pytest.mark.parametrize(
    "text", ["", "1", "1$a", "2$a$b", "1$$A", "1$a b$A", "1$a$abc", "lpa:1$a$A", "1$a$A$x"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        ActivationCode.parse(text)


def eim(**fields: object) -> EimConfigurationData:
    return EimConfigurationData(eim_id="eim.example.com", **fields)  # type: ignore[arg-type]  # members of the type


@pytest.mark.parametrize(
    ("entry", "own", "address"),
    [
        (eim(eim_fqdn="a.example.com:8443"), None, "a.example.com:8443"),
        (eim(eim_fqdn="a.example.com"), "b.example.com", "b.example.com"),
        (eim(eim_id_type=EimIdType.EIM_ID_TYPE_FQDN), None, "eim.example.com"),
        (eim(eim_id_type=EimIdType.EIM_ID_TYPE_OID), "c", "c"),
    ],
)
def test_the_address_comes_from_us_the_entry_or_the_id(
    entry: EimConfigurationData, own: str | None, address: str
) -> None:
    peer = peer_of(entry, own)
    assert peer.address == address
    assert peer.trust is Trust.DEVICE_STORE
    assert peer.host == address.partition(":")[0]
    assert peer.port(443) == (8443 if ":" in address else 443)


@pytest.mark.parametrize("kind", [None, EimIdType.EIM_ID_TYPE_OID, EimIdType.EIM_ID_TYPE_PROPRIETARY])
def test_an_eim_without_an_address_cannot_be_polled(kind: EimIdType | None) -> None:
    with pytest.raises(Refused):
        peer_of(eim(eim_id_type=kind))


def test_device_info_has_swapped_digits() -> None:
    info = Device(imei="490154203237518").info()
    assert info.tac.hex() == "94104502"
    assert info.imei is not None
    assert info.imei.hex().upper() == "94104502237315F8"
    assert Device().info().imei is None


MEMORY = Memory(
    eims={"e": EimNote(1, 2, datetime(2026, 1, 1, tzinfo=UTC), b"\xbf\x22", True)},
    known_eims=(b"\x30\x00",),
    undelivered=(Undelivered("e", b"\x01"),),
    delivered=(4, 5),
    download=DownloadNote("e", b"\x01", b"\x02", True),
    relayed={"00": "e"},
    service_lost_at=datetime(2026, 1, 2, tzinfo=UTC),
    is_emergency_active=True,
)


def test_the_memory_survives_its_encoding_and_its_file(tmp_path: Path) -> None:
    assert Memory.decode(MEMORY.encode()) == MEMORY
    file = StateFile(tmp_path / "deep" / "ipa.state")
    assert file.load() == Memory()
    file.save(MEMORY)
    assert file.load() == MEMORY
    assert file.path is not None
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [entry.name for entry in file.path.parent.iterdir()] == ["ipa.state"]


@given(st.binary(max_size=80))
def test_a_damaged_state_file_is_told(octets: bytes) -> None:
    if not octets.strip().startswith(b"{"):
        with pytest.raises(StoreFailed) as refused:
            Memory.decode(octets)
        assert refused.value.code == "ipa.state_unreadable"


def test_a_state_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreFailed):
        StateFile(blocked / "ipa.state").save(MEMORY)


def test_a_later_cause_overwrites_an_earlier_one() -> None:
    memory = Memory().with_cause(StateChangeCause.FALLBACK, ["a", "b"])
    memory = memory.with_cause(StateChangeCause.RESET, ["b"])
    assert [memory.note(name).pending_cause for name in ("a", "b", "c")] == [1, 4, None]


def test_tags_are_read_one_after_the_other() -> None:
    assert tags_of(bytes.fromhex("BF20A0BF2281")) == {0xBF20, 0xA0, 0xBF22, 0x81}


def sleeper(log: list[str], name: str, seconds: float) -> Procedure[str]:
    for _ in range(2):
        yield from ask(Wait(seconds))
        now = yield from ask(Now())
        log.append(f"{name} {(now - EPOCH).total_seconds():g}")
    return name


def refuse(effect: Effect[object]) -> object:
    raise AssertionError(effect)


def test_the_virtual_clock_runs_many_procedures_in_the_order_of_time() -> None:
    clock, log = VirtualClock(), []
    runs = [clock.start(sleeper(log, name, seconds), refuse) for name, seconds in (("a", 10), ("b", 4))]
    clock.run(until_s=9)
    assert clock.now_s == 9
    clock.run()
    assert log == ["b 4", "b 8", "a 10", "a 20"]
    assert [run.result() for run in runs] == ["a", "b"]


def test_an_answer_may_take_virtual_time() -> None:
    clock = VirtualClock()

    def procedure() -> Procedure[float]:
        yield from ask(Wait(1))
        with suppress(TimedOut):
            yield from ask(StrangeEffect())
        return ((yield from ask(Now())) - EPOCH).total_seconds()

    run = clock.start(procedure(), lambda effect: After(30, TimedOut("late")))
    clock.run()
    assert run.result() == 31


class StrangeEffect(Effect[None]):
    pass


def procedure_with_failure(log: list[str]) -> Procedure[str]:
    try:
        yield from ask(StrangeEffect())
    except TimedOut:
        log.append("caught")
    yield from ask(Wait(1))
    return "done"


def test_both_drivers_throw_failures_into_the_procedure() -> None:
    log: list[str] = []

    def perform(effect: Effect[object]) -> object:
        if isinstance(effect, StrangeEffect):
            raise TimedOut("late")
        return None

    async def perform_async(effect: Effect[object]) -> object:
        return perform(effect)

    assert drive(procedure_with_failure(log), perform) == "done"
    assert asyncio.run(drive_async(procedure_with_failure(log), perform_async)) == "done"
    assert log == ["caught", "caught"]


def test_what_the_way_to_the_card_implies() -> None:
    card = Lab(eim=False).card
    bare = configuration_of(IpaConfig(), OpenedCard(card, 255, False))
    assert (bare.has_refresh_flag, bare.answers_proactive_commands, bare.timers.refresh_s) == (False, True, 0)
    modem = configuration_of(IpaConfig(), OpenedCard(card, 120, True))
    assert (modem.has_refresh_flag, modem.answers_proactive_commands, modem.block_size) == (True, False, 120)
    assert modem.timers.refresh_s == 10
    with pytest.raises(Refused):
        configuration_of(IpaConfig(imei="123"), OpenedCard(card, 255, False))


@pytest.mark.parametrize(
    ("moment", "checks_dates"),
    [(datetime(1970, 1, 2, tzinfo=UTC), False), (datetime(2026, 11, 20, tzinfo=UTC), True)],
)
def test_only_a_clock_that_was_never_set_suspends_the_check_of_dates(
    moment: datetime, checks_dates: bool
) -> None:
    entry = eim(eim_fqdn="a.example.com")
    context = eim_context(peer_of(entry), roots=None, now=moment)
    assert bool(context.verify_flags & NO_CHECK_TIME) is not checks_dates
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
