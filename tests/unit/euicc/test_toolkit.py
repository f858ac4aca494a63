"""The proactive session: TERMINAL PROFILE, FETCH, TERMINAL RESPONSE, REFRESH, ENVELOPE, applets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.unit.euicc.cards import (
    ISD_R,
    SELECT_ISD_R,
    CountingEntropy,
    identity,
    new_card,
    profile,
    select,
    select_usim,
    send,
)

from keim.euicc import es10
from keim.euicc.applets import (
    AppletEvent,
    CardReset,
    CardStarted,
    EnvelopeReceived,
    InsideCard,
    TerminalResponded,
)
from keim.euicc.card import Card
from keim.euicc.context import CardContext
from keim.euicc.state import CardState

PROFILE = "8010000022" + "FF" * 34
NO_REFRESH = "8010000022" + "FFFF7F" + "FF" * 31
OLD_PROFILE = "8010000004" + "FF" * 4
PERFORMED = "801400000C8103010109820282818301{}"


@pytest.fixture
def switching(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An ISD-R whose only function marks a switch to the second profile, to be done after the response."""
    log: list[str] = []

    def answer(context: CardContext, request: bytes) -> bytes:
        log.append("mark")
        context.switch_after_response()
        return b"\xbf\x31\x03\x80\x01\x00"

    def complete(context: CardContext) -> None:
        log.append("switch")
        swapped = tuple(
            msgspec.structs.replace(p, is_enabled=not p.is_enabled) for p in context.state.profiles
        )
        context.commit("T1b switch", msgspec.structs.replace(context.state, profiles=swapped))

    monkeypatch.setattr(es10, "answer", answer)
    monkeypatch.setattr(es10, "complete_switch", complete)
    monkeypatch.setattr(es10, "has_open_switch", lambda context: log.count("mark") > log.count("switch"))
    monkeypatch.setattr(es10, "recover", lambda context: None)
    monkeypatch.setattr(es10, "select_response", lambda context: b"\x6f\x00")
    return log


def two_profiles() -> Card:
    return new_card("iot-2-auth", "iot-3-mnosd")


def iccid(card: Card, cla: str = "00") -> str:
    select(card, "2FE2", cla)
    return send(card, f"{cla}B000000A")[:-4]


FIRST, SECOND = "980001010000000020F7", "980001010000000030F5"


def test_without_a_terminal_profile_the_switch_follows_the_response(switching: list[str]) -> None:
    card = two_profiles()
    send(card, SELECT_ISD_R)
    assert card.transmit(bytes.fromhex("80E2910004BF310100")) == b"\x61\x06"
    assert switching == ["mark"], "the response has not been fetched yet"
    assert card.transmit(bytes.fromhex("80C0000006")) == bytes.fromhex("BF31038001009000")
    assert switching == ["mark", "switch"]
    assert iccid(card) == SECOND


def test_a_terminal_that_performs_no_refresh_has_to_reset(switching: list[str]) -> None:
    card = two_profiles()
    send(card, NO_REFRESH)
    send(card, SELECT_ISD_R)
    assert send(card, "80E2910004BF310100") == "BF31038001009000"
    assert switching == ["mark"]
    card.reset()
    assert switching == ["mark", "switch"]
    assert iccid(card) == SECOND


@pytest.mark.parametrize(("terminal", "mode"), [(PROFILE, "0109"), (OLD_PROFILE, "0104")])
def test_refresh_is_announced_after_the_data_and_switches_when_performed(
    switching: list[str], terminal: str, mode: str
) -> None:
    card = two_profiles()
    assert send(card, terminal) == "9000"
    send(card, SELECT_ISD_R)
    assert send(card, "80E2910004BF310100") == "BF3103800100910B"
    assert switching == ["mark"]
    assert iccid(card) == FIRST
    assert send(card, "80F2000C") == "910B"
    assert send(card, "801200000B") == "D009810301" + mode + "820281829000"
    assert send(card, PERFORMED.format("00")) == "9000"
    assert switching == ["mark", "switch"]
    assert iccid(card) == SECOND


def test_a_refusal_keeps_the_marks_until_the_reset(switching: list[str]) -> None:
    card = two_profiles()
    send(card, PROFILE)
    send(card, SELECT_ISD_R)
    send(card, "80E2910004BF310100")
    send(card, "801200000B")
    assert send(card, PERFORMED.format("20")) == "9000"
    assert switching == ["mark"]
    assert iccid(card) == FIRST
    card.reset()
    assert switching == ["mark", "switch"]
    assert iccid(card) == SECOND
    assert send(card, "80F2000C") == "9000"


def test_a_reset_does_the_switch_and_drops_the_refresh(switching: list[str]) -> None:
    card = two_profiles()
    send(card, PROFILE)
    send(card, SELECT_ISD_R)
    send(card, "80E2910004BF310100")
    card.reset()
    assert switching == ["mark", "switch"]
    assert iccid(card) == SECOND
    send(card, PROFILE)
    assert send(card, "801200000B") == "6985"


@pytest.mark.usefixtures("switching")
def test_at_the_switch_the_isd_r_stays_selected_and_files_are_left() -> None:
    card = two_profiles()
    send(card, "0070000001")
    send(card, "0070000001")
    send(card, "01A4040410" + ISD_R)
    select_usim(card, "02")
    select(card, "6F07", "02")
    send(card, SELECT_ISD_R)
    send(card, "80E2910004BF310100")
    assert send(card, "81E2910004BF310100").startswith("BF31")
    assert send(card, "02B0000000") == "6986"
    assert send(card, "82F2000100") == "9000"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("801200000A", "6C0B"),
        ("801200000C", "6C0B"),
        ("801200000001", "6700"),
        ("8014000003830100", "6985"),
        ("8012000001FF", "6700"),
    ],
)
@pytest.mark.usefixtures("switching")
def test_fetch_and_terminal_response_at_the_wrong_moment(apdu: str, word: str) -> None:
    card = two_profiles()
    send(card, PROFILE)
    send(card, SELECT_ISD_R)
    send(card, "80E2910004BF310100")
    assert send(card, apdu) == word


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("data", ["83", "830100", "8103010109830200", "81030101098300", "810301010982028281"])
def test_a_malformed_terminal_response_leaves_the_command_outstanding(data: str) -> None:
    card = two_profiles()
    send(card, PROFILE)
    send(card, SELECT_ISD_R)
    send(card, "80E2910004BF310100")
    send(card, "8012000000")
    assert CardContext(card, 0).is_busy
    assert send(card, f"80140000{len(data) // 2:02X}{data}") == "6A80"
    assert CardContext(card, 0).is_busy
    assert send(card, PERFORMED.format("00")) == "9000"
    assert not CardContext(card, 0).is_busy


def test_terminal_capability_is_always_fine() -> None:
    card = new_card()
    for apdu in ("80AA00000AA9088100820101830107", "80AA000005A903830107", "80AA0000", "80AA000001FF"):
        assert send(card, apdu) == "9000"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("80C20000", "6700"),
        ("80C2000001D6", "6A80"),
        ("80C2000003D60199", "9000"),
        ("80C2000003D60299", "6A80"),
        ("80C2000002D700", "9000"),
        ("80100000", "6700"),
        ("80120000", "6985"),
    ],
)
def test_envelopes_and_profiles(apdu: str, word: str) -> None:
    assert send(new_card(), apdu) == word


class Recorder:
    """An applet that asks for a timer at the start and remembers how often it was answered."""

    name = "recorder"

    def __init__(self) -> None:
        self.events: list[AppletEvent] = []
        self.seen: list[Any] = []

    def on_event(self, event: AppletEvent, card: InsideCard) -> Sequence[bytes]:
        self.events.append(event)
        if isinstance(event, CardStarted):
            return [bytes.fromhex("D011810301270082028182A40101A503001000"), bytes.fromhex("D00481020303")]
        if isinstance(event, TerminalResponded):
            card.remember(card.remembered() + b"x")
            self.seen.append((card.remembered(), card.es10(b"\xbf\x3e\x00"), len(card.random(3))))
        return []


def test_applets_get_events_and_their_commands_are_fetched_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(es10, "answer", lambda context, request, *, is_inside: b"echo" + request)
    applet = Recorder()
    state = CardState(profiles=(profile("iot-2-auth"),))
    card = Card(identity(), CountingEntropy(), applets=[applet], state=state)
    card.reset()
    assert send(card, PROFILE) == "9113"
    assert send(card, "8012000013").startswith("D0118103012700")
    assert send(card, "80F2000C") == "9000", "one command at a time"
    assert send(card, "8012000000") == "6985"
    assert send(card, "801400000C810301270082028281830100") == "9106"
    assert send(card, "8012000006") == "D004810203039000"
    assert send(card, "80140000088102030383020000") == "9000"
    assert send(card, "80C2000005D703240101") == "9000"
    assert applet.events[:2] == [CardReset(), CardStarted(b"\xff" * 34)]
    assert applet.events[-1] == EnvelopeReceived(0xD7, bytes.fromhex("D703240101"))
    assert applet.seen[0] == (b"x", b"echo\xbf\x3e\x00", 3)
    card.reset()
    assert card.state.applets == {"recorder": b"x" * len(applet.seen)}
