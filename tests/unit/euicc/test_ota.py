"""SCP80 over ENVELOPE: the operator manages files of the enabled profile and gets a proof of receipt."""

from __future__ import annotations

import msgspec
import pytest
from tests.shared import needs_shared
from tests.unit.euicc.cards import new_card, select, select_usim, send

from keim.crypto import scp80
from keim.crypto.remote_apdus import RemoteResult, read_remote_result
from keim.crypto.scp80 import Response, Security, Status
from keim.der import tlv
from keim.euicc.card import Card
from keim.euicc.faults import Faults
from keim.euicc.isdr.profiles import metadata_of
from keim.messages.profile import PprIds, StoreMetadataRequest
from keim.saip import Ef, FileSystem

TS48 = "TS48v5_SAIP2.3_BERTLV_SUCI.der"
TS48_V1 = "TS48v1_A.der"
UICC, USIM, ISIM, RAM = "B00120", "B00140", "B00141", "B20100"
SENDER = bytes.fromhex("04912143")

pytestmark = needs_shared


def base_of(card: Card) -> FileSystem:
    base = card.file_system()
    assert base is not None
    return base


def security(card: Card, spi: str = "0A19", version: int = 2) -> Security:
    """KVN 2 is the AES set of the public test profiles; 0A: checksum and rising counter."""
    domain = base_of(card).security_domains[0]
    kic, kid = domain.key(version, 1), domain.key(version, 2)
    assert kic is not None
    assert kid is not None
    indicator = version << 4 | (0x02 if kic.type == 0x88 else 0x05)
    return Security(
        spi=bytes.fromhex(spi), kic=indicator, kid=indicator, kic_key=kic.value, kid_key=kid.value
    )


def deliver(packet: bytes, header: bytes = scp80.COMMAND_UDH) -> bytes:
    user_data = header + packet
    return b"\x40" + SENDER + b"\x7f\xf6" + bytes(7) + bytes([len(user_data)]) + user_data


def envelope(card: Card, tpdu: bytes) -> str:
    data = tlv(0xD1, bytes.fromhex("82028381"), tlv(0x8B, tpdu))
    return send(card, f"80C20000{len(data):02X}{data.hex()}")


def over_the_air(
    card: Card, script: str, *, tar: str = USIM, counter: int = 1, keys: Security | None = None
) -> Response:
    keys = keys if keys is not None else security(card)
    packet = scp80.wrap_command(keys, tar=bytes.fromhex(tar), counter=counter, data=bytes.fromhex(script))
    response = envelope(card, deliver(packet))
    assert response.endswith("9000"), response
    return scp80.unwrap_response(keys, bytes.fromhex(response[:-4]))


def result(response: Response) -> RemoteResult:
    assert response.status == Status.OK
    return read_remote_result(response.data)


@pytest.mark.parametrize(
    ("name", "spi", "version"),
    [
        (TS48, "0A19", 2),
        (TS48, "1619", 2),
        (TS48, "0619", 2),
        (TS48, "0201", 2),
        (TS48, "0209", 2),
        (TS48_V1, "1619", 1),
        (TS48_V1, "0619", 2),
    ],
)
def test_a_secured_packet_reads_and_updates_and_is_answered(name: str, spi: str, version: int) -> None:
    card = new_card(name)
    keys = security(card, spi, version)
    answer = over_the_air(card, "00A40004026F7E 00D600000201 02 00B000000B", keys=keys)
    assert answer.tar == bytes.fromhex(USIM)
    assert answer.counter == 1
    assert result(answer).number_of_commands == 3
    assert result(answer).last_sw == b"\x90\x00"
    assert result(answer).last_data[:2] == b"\x01\x02"
    select_usim(card)
    send(card, "002000010830303030FFFFFFFF")
    select(card, "6F7E")
    assert send(card, "00B0000002") == "01029000"


def test_the_default_directory_is_the_one_of_the_application() -> None:
    card = new_card(TS48)
    imsi = result(over_the_air(card, "00A40004026F0700B0000009"))
    assert imsi.last_data[:1] == b"\x08"
    missing = result(over_the_air(card, "00A40004026F0700B0000009", tar=UICC, counter=2))
    assert missing == RemoteResult(number_of_commands=1, last_sw=b"\x6a\x82", last_data=b"")
    iccid = result(over_the_air(card, "00A40004022FE200B000000A", tar=UICC, counter=3))
    assert len(iccid.last_data) == 10


def test_a_select_is_answered_by_get_response() -> None:
    card = new_card(TS48)
    answer = result(over_the_air(card, "00A40004026F0700C0000000"))
    assert answer.number_of_commands == 2
    assert answer.last_data[:1] == b"\x62"


def test_the_first_failing_command_ends_the_run() -> None:
    card = new_card(TS48)
    answer = result(over_the_air(card, "00A40004026F7E 00B0700001 00D6000001AA"))
    assert answer == RemoteResult(number_of_commands=2, last_sw=b"\x6b\x00", last_data=b"")
    select_usim(card)
    select(card, "6F7E")
    assert send(card, "00B0000001") == "FF9000"


@pytest.mark.parametrize(
    ("script", "count", "word"),
    [
        ("", 0, "9000"),
        ("00A4", 1, "6700"),
        ("00A40004026F", 1, "6700"),
        ("00880081221000", 1, "6700"),
        ("008800810100", 1, "6D00"),
        ("80E2910000", 1, "6D00"),
        ("0070000001", 1, "6D00"),
        ("FFB0000001", 1, "6E00"),
    ],
)
def test_scripts_that_are_no_file_management(script: str, count: int, word: str) -> None:
    answer = result(over_the_air(new_card(TS48), script))
    assert (answer.number_of_commands, answer.last_sw.hex().upper()) == (count, word)


def test_full_access_updates_what_a_terminal_cannot() -> None:
    card = new_card(TS48)
    assert result(over_the_air(card, "00A40004026F0700D600000108")).last_sw == b"\x90\x00"
    select_usim(card)
    select(card, "6F07")
    assert send(card, "00D600000108") == "6982"


def test_sessions_over_the_air_and_of_the_terminal_are_apart() -> None:
    card = new_card(TS48)
    select_usim(card)
    select(card, "6F07")
    before = card.volatile.channels
    over_the_air(card, "0020000A08353535353535353500A40004026F7E")
    assert card.volatile.channels == before
    assert card.volatile.verified == frozenset()
    assert send(card, "0020000A") == "63CA"


def test_the_counter_must_rise() -> None:
    card = new_card(TS48)
    keys = security(card, "1619")
    assert over_the_air(card, "", keys=keys, counter=5).status == Status.OK
    assert over_the_air(card, "", keys=keys, counter=5).status == Status.COUNTER_LOW
    assert over_the_air(card, "", keys=keys, counter=4).status == Status.COUNTER_LOW
    card.reset()
    assert over_the_air(card, "", keys=keys, counter=5).status == Status.COUNTER_LOW
    assert over_the_air(card, "", keys=keys, counter=9).status == Status.OK
    exact = security(card, "1E19")
    assert over_the_air(card, "", keys=exact, counter=11).status == Status.COUNTER_HIGH
    assert over_the_air(card, "", keys=exact, counter=10).status == Status.OK
    unchecked = security(card, "0E19")
    assert over_the_air(card, "", keys=unchecked, counter=1).status == Status.OK


def test_a_replayed_packet_executes_nothing() -> None:
    card = new_card(TS48)
    keys = security(card, "1619")
    over_the_air(card, "00A40004026F7E00D6000001AA", keys=keys)
    over_the_air(card, "00A40004026F7E00D6000001BB", keys=keys, counter=2)
    assert over_the_air(card, "00A40004026F7E00D6000001AA", keys=keys).status == Status.COUNTER_LOW
    select_usim(card)
    select(card, "6F7E")
    assert send(card, "00B0000001") == "BB9000"


def test_a_wrong_key_fails_the_checksum() -> None:
    card = new_card(TS48)
    keys = security(card, "0619")
    wrong = msgspec.structs.replace(keys, kid_key=bytes(16))
    packet = scp80.wrap_command(wrong, tar=bytes.fromhex(USIM), counter=1, data=b"")
    response = envelope(card, deliver(packet))
    answer = scp80.unwrap_response(keys, bytes.fromhex(response[:-4]))
    assert (answer.status, answer.data) == (Status.CHECKSUM_FAILED, b"")
    garbled = bytearray(scp80.wrap_command(keys, tar=bytes.fromhex(USIM), counter=1, data=b""))
    garbled[-1] ^= 1
    response = envelope(card, deliver(bytes(garbled)))
    assert scp80.unwrap_response(keys, bytes.fromhex(response[:-4])).status == Status.CHECKSUM_FAILED


def test_the_minimum_security_level_is_enforced() -> None:
    """06 in the v1 profiles: ciphering and checksum."""
    card = new_card(TS48_V1)
    assert over_the_air(card, "", keys=security(card, "0219")).status == Status.INSUFFICIENT_SECURITY_LEVEL
    assert over_the_air(card, "", keys=security(card, "0419")).status == Status.INSUFFICIENT_SECURITY_LEVEL
    assert over_the_air(card, "", keys=security(card, "0619")).status == Status.OK
    assert over_the_air(card, "", keys=security(card, "1619")).status == Status.OK


def test_what_no_key_protects_is_answered_in_the_clear() -> None:
    card = new_card(TS48)
    keys = security(card, "0619")
    clear = Security(spi=b"\x06\x01", kic=keys.kic, kid=keys.kid, kic_key=b"", kid_key=b"")
    packet = scp80.wrap_command(keys, tar=b"\xb0\xff\xff", counter=1, data=b"")
    unknown = scp80.unwrap_response(clear, bytes.fromhex(envelope(card, deliver(packet))[:-4]))
    assert unknown.status == Status.TAR_UNKNOWN
    other = msgspec.structs.replace(keys, kic=0x92, kid=0x92)
    packet = scp80.wrap_command(other, tar=bytes.fromhex(USIM), counter=1, data=b"")
    no_key = scp80.unwrap_response(clear, bytes.fromhex(envelope(card, deliver(packet))[:-4]))
    assert no_key.status == Status.UNIDENTIFIED_SECURITY_ERROR


@pytest.mark.parametrize(("spi", "good", "bad"), [("0600", False, False), ("0602", False, True)])
def test_a_receipt_comes_only_when_it_is_wanted(spi: str, good: bool, bad: bool) -> None:
    card = new_card(TS48)
    keys = security(card, spi)
    for key, expected in ((keys, good), (msgspec.structs.replace(keys, kid_key=bytes(16)), bad)):
        packet = scp80.wrap_command(key, tar=bytes.fromhex(USIM), counter=1, data=b"")
        assert (envelope(card, deliver(packet)) != "9000") == expected


def test_a_receipt_may_be_sent_as_a_short_message() -> None:
    card = new_card(TS48)
    send(card, "8010000020" + "FF" * 32)
    keys = security(card, "0639")
    packet = scp80.wrap_command(keys, tar=bytes.fromhex(USIM), counter=1, data=b"")
    word = envelope(card, deliver(packet))
    assert word.startswith("91")
    command = bytes.fromhex(send(card, f"80120000{word[2:]}")[:-4])
    assert command[:2] + command[2:7] == bytes([0xD0, len(command) - 2]) + bytes.fromhex("8103011300")
    tpdu = command[command.index(b"\x8b") + 2 :]
    assert tpdu[:2] + tpdu[2:6] + tpdu[6:8] == b"\x41\x00" + SENDER + b"\x7f\xf6"
    assert tpdu[8] == len(tpdu) - 9
    assert scp80.unwrap_response(keys, tpdu[9:]).status == Status.OK


def test_a_packet_may_come_in_several_messages() -> None:
    card = new_card(TS48)
    keys = security(card, "0619")
    script = "00A40004026F7E" + "00D6000001AA" * 20 + "00B0000001"
    packet = scp80.wrap_command(keys, tar=bytes.fromhex(USIM), counter=1, data=bytes.fromhex(script))
    pieces = [packet[i : i + 100] for i in range(0, len(packet), 100)]
    assert len(pieces) == 2
    headers = [bytes.fromhex(f"0700030702{n:02X}7000" if n == 1 else f"0500030702{n:02X}") for n in (1, 2)]
    assert envelope(card, deliver(pieces[1], headers[1])) == "9000"
    response = envelope(card, deliver(pieces[0], headers[0]))
    answer = result(scp80.unwrap_response(keys, bytes.fromhex(response[:-4])))
    assert (answer.number_of_commands, answer.last_data) == (22, b"\xaa")


@pytest.mark.parametrize(
    "tpdu",
    [
        "",
        "40",
        "4004912143",
        "00049121437FF600000000000000 00",
        "41049121437FF600000000000000 03027000",
        "40049121437FF600000000000000 04027000",
        "40049121437FF600000000000000 03057000",
        "40049121437FF600000000000000 03027100",
        "40049121437FF600000000000000 03027000",
        "40049121437FF600000000000000 0605000307020000",
    ],
)
def test_messages_that_carry_no_packet_are_refused(tpdu: str) -> None:
    assert envelope(new_card(TS48), bytes.fromhex(tpdu)) == "6A80"


def test_the_security_domain_lists_applications_and_keys() -> None:
    card = new_card(TS48)
    own = result(over_the_air(card, "80F28002024F00", tar=RAM))
    assert bytes.fromhex("4F08A000000151000000") in own.last_data
    others = result(over_the_air(card, "80F24002024F00", tar=RAM, counter=2))
    assert others.last_data.count(b"\xe3") >= 4
    keys = result(over_the_air(card, "80CA00E000", tar=RAM, counter=3))
    assert keys.last_data[:1] == b"\xe0"
    assert keys.last_data.count(b"\xc0\x04") == 6
    refused = result(over_the_air(card, "80E40000024F00", tar=RAM, counter=4))
    assert refused.last_sw == b"\x6d\x00"


def test_a_long_receipt_goes_in_several_short_messages() -> None:
    card = new_card(TS48)
    send(card, "8010000020" + "FF" * 32)
    keys = security(card, "0639")
    adf = base_of(card).adfs[0]
    long_file = next(e for e in adf.children if isinstance(e, Ef) and e.size >= 0xA0 and not e.record_length)
    script = bytes.fromhex(f"00A4000402{long_file.fid:04X}00B00000A0")
    packet = scp80.wrap_command(keys, tar=bytes.fromhex(USIM), counter=7, data=script)
    word = envelope(card, deliver(packet))
    pieces: list[bytes] = []
    while word.startswith("91"):
        command = bytes.fromhex(send(card, f"80120000{word[2:]}")[:-4])
        tpdu = command[command.index(b"\x8b") + 2 + (command[command.index(b"\x8b") + 1] == 0x81) :]
        user_data = tpdu[9:]
        assert len(user_data) == tpdu[8] <= 140
        header = user_data[1 : 1 + user_data[0]]
        assert header[:5] == bytes([0, 3, 7, 2, len(pieces) + 1])
        assert (header[5:] == b"\x71\x00") == (not pieces)
        pieces.append(user_data[1 + len(header) :])
        word = send(card, "801400000C810301130082028281830100")
    assert len(pieces) == 2
    answer = scp80.unwrap_response(keys, scp80.RESPONSE_UDH + b"".join(pieces))
    assert len(result(answer).last_data) == 0xA0


def updated(card: Card, body: str, *, counter: int = 1, block: int = 200) -> str:
    """The last status word of ES6.UpdateMetadata, in a chain of STORE DATA."""
    request = tlv(0xBF2A, bytes.fromhex(body))
    pieces = [request[i : i + block] for i in range(0, len(request), block)]
    script = ""
    for number, piece in enumerate(pieces):
        p1 = 0x91 if number == len(pieces) - 1 else 0x11
        script += f"80E2{p1:02X}{number:02X}{len(piece):02X}{piece.hex()}"
    return result(over_the_air(card, script, tar=RAM, counter=counter)).last_sw.hex()


def metadata(card: Card) -> StoreMetadataRequest:
    profile = card.state.enabled_profile
    assert profile is not None
    return metadata_of(profile)


def test_the_operator_changes_the_metadata_of_the_profile() -> None:
    card = new_card(TS48)
    before = card.state.profiles[0]
    assert updated(card, "9103416263920444656667", block=5) == "9000"
    assert (metadata(card).service_provider_name, metadata(card).profile_name) == ("Abc", "Defg")
    after = card.state.profiles[0]
    growth = len(after.record.metadata) - len(before.record.metadata)
    assert after.charge == before.charge + growth
    assert updated(card, "930101 9402AABB", counter=2) == "9000"
    assert metadata(card).icon == b"\xaa\xbb"
    assert updated(card, "9400", counter=3) == "9000"
    assert (metadata(card).icon, metadata(card).icon_type) == (None, None)
    assert metadata(card).service_provider_name == "Abc"


@pytest.mark.parametrize("body", ["9402AABB", "99020640", "99020520", "9121" + "41" * 33, "91"])
def test_metadata_that_may_not_be_set_is_refused(body: str) -> None:
    """An icon of no type, policy rules that were not there, too long a name, half an object."""
    card = new_card(TS48)
    before = card.state.profiles
    assert updated(card, body) == "6a80"
    assert card.state.profiles[0].record == before[0].record


def test_policy_rules_can_be_taken_back_over_the_air() -> None:
    card = new_card(TS48)
    (profile,) = card.state.profiles
    ruled = metadata(card).replace(profile_policy_rules=PprIds.PPR1 | PprIds.PPR2).encode()
    record = msgspec.structs.replace(profile.record, metadata=ruled)
    card.state = card.state.with_profile(msgspec.structs.replace(profile, record=record))
    assert updated(card, "99020520") == "9000"
    assert metadata(card).profile_policy_rules == PprIds.PPR2
    assert updated(card, "99020640", counter=2) == "6a80"
    assert updated(card, "990100", counter=3) == "9000"
    assert not metadata(card).profile_policy_rules


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("80E2910104 BF2A00BF", "6a86"),
        ("80E2910003 BF2A00", "9000"),
        ("80E2910003 BF2900", "6a88"),
        ("80E2910004 BF2A0000", "6a80"),
        ("80E2110002 BF2A 80E2910201 00", "6a86"),
        ("80E2110002 BF2A 80F28002024F00 80E2910101 00", "6a86"),
    ],
)
def test_store_data_to_the_security_domain_follows_the_rules_of_chains(script: str, word: str) -> None:
    assert result(over_the_air(new_card(TS48), script, tar=RAM)).last_sw.hex() == word


def test_metadata_that_does_not_fit_is_refused() -> None:
    card = new_card(TS48, faults=Faults(is_out_of_memory=True))
    assert updated(card, "9240" + "41" * 64) == "6a84"
