"""Cards behind modems: AT on a pseudo-terminal and over TCP, scripted mbimcli, scripted qmi-proxy.

None of these drivers has been tried on hardware; the peers are written from the interfaces' descriptions.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import tty
from collections.abc import Callable, Iterator, Sequence

import pytest
from tests.card_lab import EID
from tests.roles.ipa_lab import IpaLab
from tests.roles.ipa_world import IpaWorld

from keim.errors import KeimError, Malformed, Refused, TimedOut, Unreachable
from keim.io.at_modem import open_at, quirks_of
from keim.io.at_port import AtPort, SerialLine, TcpLine
from keim.io.card_address import open_card_at
from keim.io.mbim import open_mbim
from keim.io.modem_channels import ModemChannels
from keim.io.qmi import open_qmi
from keim.ipa.configuration import Configuration
from keim.ipa.cycle import run_cycle
from keim.seams import CardChannel

ISDR = "A0000005591010FFFFFFFF8900000100"
GET_EID = bytes.fromhex("81E2910006BF3E035C015A")


@pytest.fixture
def lab() -> Iterator[IpaLab]:
    made = IpaLab()
    yield made
    made.close()


def read_eid(channel: CardChannel) -> bytes:
    """MANAGE CHANNEL, SELECT, GetEID and GET RESPONSE, as an IPA does it."""
    assert channel.transmit(bytes.fromhex("0070000100"))[-2:] == b"\x90\x00"
    selected = channel.transmit(bytes.fromhex("01A4040410" + ISDR + "00"))
    assert selected[-2] in (0x90, 0x61)
    answer = channel.transmit(GET_EID)
    if answer[-2] == 0x61:
        answer = channel.transmit(bytes((0x01, 0xC0, 0, 0, answer[-1])))
    assert answer[-2:] == b"\x90\x00"
    return answer[5:-2]


class ScriptedModem:
    """The modem's side of an AT port. `card` is reached as the way says; deviations by `bent`."""

    def __init__(self, card: CardChannel, *, identity: str = "keim test modem", **bent: object) -> None:
        self.card, self.identity, self.bent = card, identity, bent
        self.sessions: dict[int, int] = {}
        self.commands: list[str] = []
        self.echo = True

    def answer(self, line: str) -> str:
        self.commands.append(line)
        echo = f"{line}\r" if self.echo else ""
        try:
            lines = self._answer(line)
        except LookupError:
            return f"{echo}\r\nERROR\r\n"
        unsolicited = "\r\n+CREG: 1\r\n" if self.bent.get("chatty") else ""
        return echo + unsolicited + "".join(f"\r\n{one}\r\n" for one in lines) + "\r\nOK\r\n"

    def _answer(self, line: str) -> list[str]:
        if line == "ATE0":
            self.echo = False
            return []
        if line == "ATI":
            return [self.identity, "Revision: 1"]
        if line.startswith("AT+CFUN="):
            if line.endswith(("=0", "=4", "=16")):
                self.sessions.clear()
                self.card.reset()
            return []
        if line == "AT+CPIN?":
            return ["+CPIN: READY"]
        if found := re.fullmatch(r'AT\+CSIM=(\d+),"([0-9A-F]+)"', line):
            return ["+CSIM: " + self._octets(self.card.transmit(bytes.fromhex(found[2])))]
        if self.bent.get("only_csim"):
            raise LookupError(line)
        if line == "AT+CCHO=?":
            return []
        if found := re.fullmatch(r'AT\+CCHO="([0-9A-F]+)"', line):
            return self._open(found[1])
        if found := re.fullmatch(r'AT\+CGLA=(\d+),(\d+),"([0-9A-F]+)"', line):
            assert int(found[2]) == len(found[3])
            channel = self.sessions[int(found[1])]
            apdu = bytes.fromhex(found[3])
            assert apdu[0] & 0x43 == 0  # the modem puts its own channel in
            return ["+CGLA: " + self._octets(self.card.transmit(bytes((apdu[0] | channel,)) + apdu[1:]))]
        if found := re.fullmatch(r"AT\+CCHC=(\d+)", line):
            self.card.transmit(bytes((0x00, 0x70, 0x80, self.sessions.pop(int(found[1])), 0x00)))
            return []
        raise LookupError(line)

    def _open(self, aid: str) -> list[str]:
        channel = self.card.transmit(bytes.fromhex("0070000001"))[0]
        octets = bytes.fromhex(aid)
        select = bytes((channel, 0xA4, 0x04, 0x00, len(octets))) + octets
        if self.card.transmit(select)[-2] not in (0x90, 0x61):
            raise LookupError(aid)
        number = len(self.sessions) + 7
        self.sessions[number] = channel
        return [str(number) if self.bent.get("bare") else f"+CCHO: {number}"]

    def _octets(self, response: bytes) -> str:
        text = response.hex().upper()
        return f"{len(text)},{text}" if self.bent.get("unquoted") else f'{len(text)},"{text}"'


def on_pty(modem: ScriptedModem) -> tuple[str, Callable[[], None]]:
    """A pseudo-terminal with the modem behind it: its path, and how to unplug it."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)

    def serve() -> None:
        buffer = b""
        while True:
            try:
                octets = os.read(ours, 4096)
            except OSError:
                return
            buffer += octets
            while b"\r" in buffer:
                line, _, buffer = buffer.partition(b"\r")
                os.write(ours, modem.answer(line.decode()).encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def unplug() -> None:
        os.close(theirs)
        thread.join(10)
        os.close(ours)

    return path, unplug


WAYS = {
    "sessions": {},
    "sessions, chatty and unquoted": {"chatty": True, "unquoted": True},
    "only CSIM": {"only_csim": True},
    "bare session numbers": {"identity": "Telit LE910C1", "bare": True},
    "SIMCom by CSIM": {"identity": "SIM7600E"},
    "u-blox": {"identity": "SARA-R510"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_cycle_runs_through_an_at_modem(lab: IpaLab, way: str) -> None:
    from tests.roles.ipa_lab import iccid

    from keim.messages.package import EnablePsmo, Psmo

    modem = ScriptedModem(lab.lab.card, **WAYS[way])  # type: ignore[arg-type]  # members of the modem
    path, unplug = on_pty(modem)
    try:
        opened = open_card_at(f"at:{path}@115200")
        assert opened.is_behind_modem
        world = IpaWorld(opened.channel, dict(lab.eims), configuration=Configuration(block_size=120))
        lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
        world.run(run_cycle)
        assert lab.enabled() == iccid(2)
        assert lab.eim.executed
        assert lab.pending() == []
        opened.channel.close()
    finally:
        unplug()
    used_csim = any(command.startswith("AT+CSIM") and "E291" in command for command in modem.commands)
    assert used_csim is ("CSIM" in way)


def test_the_same_over_tcp(lab: IpaLab) -> None:
    modem = ScriptedModem(lab.lab.card)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            buffer = b""
            while octets := connection.recv(4096):
                buffer += octets
                while b"\r" in buffer:
                    line, _, buffer = buffer.partition(b"\r")
                    connection.sendall(modem.answer(line.decode()).encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with server:
        opened = open_card_at(f"at:tcp:127.0.0.1:{server.getsockname()[1]}")
        assert read_eid(opened.channel) == EID.octets
        opened.channel.close()
        thread.join(10)


class Script:
    """A line whose answers are prepared."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.written: list[bytes] = []

    def write(self, octets: bytes) -> None:
        self.written.append(octets)

    def read(self, timeout_s: float) -> bytes:
        return self.answers.pop(0) if self.answers else b""

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        ((), TimedOut),
        ((b"\r\nERROR\r\n",), Refused),
        ((b"\r\n+CME ERROR: 14\r\n",), Refused),
        ((b"\r\nOK\r\n",), Malformed),
        ((b'\r\n+CSIM: 4,"90"\r\n\r\nOK\r\n',), Malformed),
        ((b'\r\n+CSIM: 4,"90zz"\r\n', b"\r\nOK\r\n"), Malformed),
        ((b"\xff\xfe\x00", b""), TimedOut),
    ],
    ids=["silence", "ERROR", "CME ERROR", "no answer", "cut off", "no hexadecimal", "noise"],
)
def test_a_modem_that_answers_nonsense_has_its_own_error(
    answers: tuple[bytes, ...], failure: type[KeimError]
) -> None:
    from keim.io.at_modem import CsimChannel, Quirks

    channel = CsimChannel(AtPort(Script(*answers)), Quirks(), lambda seconds: None)
    with pytest.raises(failure):
        channel.transmit(GET_EID)


def test_an_answer_may_come_in_pieces_with_lines_of_others_between() -> None:
    from keim.io.at_modem import CsimChannel, Quirks

    script = Script(b"\r\n+CR", b"EG: 5\r\n\r\n+CSI", b'M: 4,"90', b'00"\r\n\r\nO', b"K\r\n")
    channel = CsimChannel(AtPort(script), Quirks(), lambda seconds: None)
    assert channel.transmit(GET_EID) == b"\x90\x00"


def test_a_modem_that_comes_back_late_from_its_reset_is_waited_for() -> None:
    from keim.io.at_modem import CsimChannel, Quirks

    ok = b"\r\nOK\r\n"
    script = Script(ok, ok, b"\r\n+CME ERROR: 14\r\n", b"\r\n+CME ERROR: 14\r\n", ok)
    pauses: list[float] = []
    CsimChannel(AtPort(script), Quirks(), pauses.append).reset()
    assert pauses == [1.0, 1.0]


def test_quirks_are_found_by_what_the_modem_says() -> None:
    assert quirks_of("Quectel\nEC25\nRevision").note.startswith("Quectel")
    assert quirks_of("LE910").open_answer == "bare"
    assert quirks_of("GM02S").adds_le
    assert quirks_of("nobody knows it").note == "everything else"


def test_a_port_that_is_not_there_is_unreachable(tmp_path: object) -> None:
    with pytest.raises(Unreachable):
        SerialLine(f"{tmp_path}/ttyNONE")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unreachable):
        TcpLine("127.0.0.1", port)
    with pytest.raises(Refused):
        open_card_at("carrier-pigeon:coo")


# MBIM


class ScriptedMbimcli:
    """Prints what mbimcli prints, from our card."""

    def __init__(self, card: CardChannel) -> None:
        self.card = card
        self.calls: list[str] = []

    def __call__(self, arguments: Sequence[str]) -> str:
        assert list(arguments[:3]) == ["-p", "-d", "/dev/cdc-wdm0"]
        option = arguments[3]
        self.calls.append(option)
        members = dict(part.split("=", 1) for part in option.partition("=")[2].split(",") if "=" in part)
        if "open-channel" in option:
            channel = self.card.transmit(bytes.fromhex("0070000001"))[0]
            aid = bytes.fromhex(members["application-id"])
            answer = self.card.transmit(bytes((channel, 0xA4, 0x04, 0x04, len(aid))) + aid)
            return self._shown(answer, channel)
        if "uicc-apdu" in option:
            apdu = bytes.fromhex(members["command"])
            return self._shown(self.card.transmit(bytes((apdu[0] | int(members["channel"]),)) + apdu[1:]))
        if "close-channel" in option:
            self.card.transmit(bytes((0x00, 0x70, 0x80, int(members["channel"]), 0x00)))
            return "Successfully closed\n"
        if "query-uicc-atr" in option:
            return f"[/dev/cdc-wdm0] UICC ATR info retrieved:\n\tATR: '{self.card.reset().hex(':')}'\n"
        return "Successfully done\n"

    def _shown(self, answer: bytes, channel: int | None = None) -> str:
        status = int.from_bytes(answer[-2:], "little")
        lines = [f"\t  Status: {status}"]
        if channel is not None:
            lines.append(f"\t Channel: {channel}")
        lines.append(f"\tResponse: {answer[:-2].hex(':').upper()}")
        return "[/dev/cdc-wdm0] Successfully retrieved\n" + "\n".join(lines) + "\n"


def test_a_card_behind_mbim(lab: IpaLab) -> None:
    channel = open_mbim("/dev/cdc-wdm0", ScriptedMbimcli(lab.lab.card))
    assert read_eid(channel) == EID.octets
    assert channel.transmit(bytes.fromhex("0070800100")) == b"\x90\x00"
    assert channel.reset()[:1] == b"\x3b"
    channel.close()


def test_mbimcli_that_prints_something_else_has_its_own_error() -> None:
    channel = open_mbim("/dev/cdc-wdm0", lambda arguments: "error: operation failed\n")
    channel.transmit(bytes.fromhex("0070000100"))
    with pytest.raises(Malformed):
        channel.transmit(bytes.fromhex("01A4040410" + ISDR + "00"))


# QMI


class ScriptedProxy:
    """qmi-proxy with one modem: answers frames from our card; a stream without a socket."""

    def __init__(self, card: CardChannel) -> None:
        self.card = card
        self.out = b""
        self.sessions: dict[int, int] = {}
        self.error = 0

    def sendall(self, octets: bytes) -> None:
        marker, length, _, service, client = struct.unpack_from("<BHBBB", octets)
        assert (marker, length) == (1, len(octets) - 1)
        width = 1 if service == 0 else 2
        body = octets[6:]
        transaction = int.from_bytes(body[1 : 1 + width], "little")
        message, size = struct.unpack_from("<HH", body, 1 + width)
        content = body[width + 5 :]
        assert size == len(content)
        tlvs, position = {}, 0
        while position < len(content):
            tag, count = struct.unpack_from("<BH", content, position)
            tlvs[tag] = content[position + 3 : position + 3 + count]
            position += 3 + count
        answer = {0x02: struct.pack("<HH", 1 if self.error else 0, self.error), **self._answer(message, tlvs)}
        flags = 0x01 if service == 0 else 0x02
        packed = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in answer.items())
        head = struct.pack("<BB" if service == 0 else "<BH", flags, transaction)
        whole = head + struct.pack("<HH", message, len(packed)) + packed
        if service:  # an indication of somebody else comes between
            noise = struct.pack("<BHHH", 0x04, 0, 0x0032, 0)
            self.out += struct.pack("<BHBBB", 1, len(noise) + 5, 0x80, service, 0xFF) + noise
        self.out += struct.pack("<BHBBB", 1, len(whole) + 5, 0x80, service, client) + whole

    def _answer(self, message: int, tlvs: dict[int, bytes]) -> dict[int, bytes]:
        match message:
            case 0x0022:
                return {0x01: tlvs[0x01] + b"\x05"}
            case 0x0042:
                channel = self.card.transmit(bytes.fromhex("0070000001"))[0]
                aid = tlvs[0x10][1:]
                answer = self.card.transmit(bytes((channel, 0xA4, 0x04, 0x04, len(aid))) + aid)
                assert tlvs[0x01] == b"\x01"
                return {
                    0x10: bytes((channel,)),
                    0x11: b"\x90\x00",
                    0x12: bytes((len(answer) - 2,)) + answer[:-2],
                }
            case 0x003B:
                apdu = tlvs[0x02][2:]
                channel = tlvs.get(0x10, b"\x00")[0]
                answer = self.card.transmit(bytes((apdu[0] | channel,)) + apdu[1:])
                return {0x10: struct.pack("<H", len(answer)) + answer}
            case 0x003F:
                self.card.transmit(bytes((0x00, 0x70, 0x80, tlvs[0x11][0], 0x00)))
            case 0x0030:
                self.card.reset()
        return {}

    def recv(self, count: int) -> bytes:
        part, self.out = self.out[: min(count, 7)], self.out[min(count, 7) :]
        return part

    def close(self) -> None:
        pass


def test_a_card_behind_qmi(lab: IpaLab) -> None:
    channel = open_qmi("/dev/cdc-wdm0", stream=ScriptedProxy(lab.lab.card))
    assert read_eid(channel) == EID.octets
    assert channel.transmit(bytes.fromhex("80AA000005A903830107"))[-2:] == b"\x90\x00"
    assert channel.transmit(bytes.fromhex("0070800100")) == b"\x90\x00"
    channel.reset()
    assert read_eid(channel) == EID.octets
    channel.close()


def test_a_qmi_error_and_a_lost_proxy_have_their_own_errors(lab: IpaLab) -> None:
    proxy = ScriptedProxy(lab.lab.card)
    channel = open_qmi("/dev/cdc-wdm0", stream=proxy)
    channel.transmit(bytes.fromhex("0070000100"))
    proxy.error = 48
    assert channel.transmit(bytes.fromhex("01A4040410" + ISDR + "00")) == b"\x6a\x82"
    with pytest.raises(Refused):
        channel.reset()
    proxy.sendall = lambda octets: None  # type: ignore[method-assign]  # the proxy goes deaf
    with pytest.raises(Unreachable):
        channel.reset()


# the translation itself


def test_the_translation_answers_as_a_card_would(lab: IpaLab) -> None:
    channel: ModemChannels = open_qmi("/dev/cdc-wdm0", stream=ScriptedProxy(lab.lab.card))
    assert channel.transmit(bytes.fromhex("0070000001")) == b"\x01\x90\x00"
    assert channel.transmit(bytes.fromhex("0070000001")) == b"\x02\x90\x00"
    assert channel.transmit(bytes.fromhex("0070000100")) == b"\x6a\x86"
    assert channel.transmit(GET_EID) == b"\x69\x85"
    assert channel.transmit(bytes.fromhex("83E2910003BF2000")) == b"\x68\x81"
    assert channel.transmit(bytes.fromhex("0070800900")) == b"\x6a\x86"
    assert channel.transmit(b"\x00") == b"\x67\x00"


def test_open_at_needs_an_answer_to_ati() -> None:
    with pytest.raises(TimedOut):
        open_at(AtPort(Script(b"\r\nOK\r\n")))
