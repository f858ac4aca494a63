"""ES10 over APDU: the logical channel, STORE DATA chains, GET RESPONSE, proactive commands (bindings §12).

One function at a time; the card's answer is the response object, or `CardRefused` with its status word.
Imports its neighbours and keim.errors only.
"""

from __future__ import annotations

from keim.errors import Malformed, PeerError, Refused, WorldError
from keim.ipa.configuration import ISDR_AID
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure, ResetCard, Transmit, ask
from keim.ipa.events import CardRecovered

MORE_BLOCKS, LAST_BLOCK = 0x11, 0x91
MOST_BLOCKS = 256
REFRESH = 0x01
STATUSES_WITHOUT_SESSION = (0x6881, 0x6985)
"""Channel not open, ISD-R not selected: the card was reset behind our back, and the function did not run."""
MANY_ANSWERS = 4096
"""GET RESPONSE rounds after which a card that never ends is given up."""


class CardRefused(PeerError):
    """The card answered a status word instead of a response object."""

    code = "ipa.card_refused"

    def __init__(self, status: int, what: str) -> None:
        super().__init__(
            f"the card answered {status:04X} to {what}", party="eUICC", evidence=f"status word {status:04X}"
        )
        self.status = status


def open_isdr(ipa: Ipa) -> Procedure[None]:
    """TERMINAL CAPABILITY, MANAGE CHANNEL, SELECT of the ISD-R (bindings §12.1)."""
    ipa.has_session = False
    capability = ipa.configuration.terminal_capability
    if capability:
        # Its status is of no interest: cards without the function answer 6D00 or 6E00.
        yield from ask(Transmit(bytes((0x80, 0xAA, 0, 0, len(capability))) + capability))
    ipa.channel = yield from _open_channel(ipa)
    select = bytes((_class(0x00, ipa.channel), 0xA4, 0x04, 0x04, len(ISDR_AID))) + ISDR_AID + b"\x00"
    answer = yield from ask(Transmit(select))
    status = _status(answer)
    # 61xx need not be fetched: nothing in the FCI is needed by an IPAd.
    if status >> 8 not in (0x90, 0x61, 0x91):
        refusal = CardRefused(status, "SELECT of the ISD-R")
        refusal.code = "ipa.no_isdr"
        raise refusal
    ipa.has_session = True


def _open_channel(ipa: Ipa) -> Procedure[int]:
    """Our number first; where it is taken, whichever the card has."""
    number = ipa.configuration.logical_channel
    if number == 0:
        return 0
    answer = yield from ask(Transmit(bytes((0x00, 0x70, 0x00, number, 0x00))))
    if _status(answer) >> 8 in (0x90, 0x91):
        return number
    answer = yield from ask(Transmit(bytes.fromhex("0070000001")))
    status = _status(answer)
    if status >> 8 not in (0x90, 0x91) or len(answer) != 3 or not 1 <= answer[0] <= 19:
        refusal = CardRefused(status, "MANAGE CHANNEL")
        refusal.code = "ipa.no_channel"
        raise refusal
    return answer[0]


def close_isdr(ipa: Ipa) -> Procedure[None]:
    if ipa.has_session and ipa.channel:
        yield from ask(Transmit(bytes((0x00, 0x70, 0x80, ipa.channel, 0x00))))
    ipa.has_session = False


def reset_and_open(ipa: Ipa) -> Procedure[None]:
    """A cold reset; a switch whose marks are set is done by it."""
    ipa.has_session = False
    ipa.switched = False
    yield from ask(ResetCard())
    yield from open_isdr(ipa)


def recover(ipa: Ipa, reason: str) -> Procedure[None]:
    """Card-error policy of procedures §20: one cold reset, then continue."""
    yield from ipa.tell(CardRecovered(reason))
    yield from reset_and_open(ipa)


def call_card(ipa: Ipa, request: bytes) -> Procedure[bytes]:
    """One ES10 function: a chain of STORE DATA and its whole answer.

    After a failure that may have cost the channel, the next call opens it anew.
    """
    if not ipa.has_session:
        yield from open_isdr(ipa)
    try:
        return (yield from _store_data(ipa, request))
    except CardRefused as refusal:
        if refusal.status in STATUSES_WITHOUT_SESSION:
            ipa.has_session = False
        raise
    except (WorldError, Malformed):
        ipa.has_session = False
        raise


def _store_data(ipa: Ipa, request: bytes) -> Procedure[bytes]:
    blocks = [
        request[start : start + ipa.configuration.block_size]
        for start in range(0, len(request), ipa.configuration.block_size)
    ]
    if len(blocks) > MOST_BLOCKS:
        raise Refused(
            f"{len(request)} octets do not fit into {MOST_BLOCKS} blocks of {ipa.configuration.block_size}",
            code="ipa.card_command_too_long",
        )
    what = f"the ES10 function {request[:2].hex().upper()}"
    answer = b""
    for number, block in enumerate(blocks):
        is_last = number == len(blocks) - 1
        head = bytes(
            (_class(0x80, ipa.channel), 0xE2, LAST_BLOCK if is_last else MORE_BLOCKS, number, len(block))
        )
        answer = yield from _transmit(ipa, head + block, what)
        if answer and not is_last:
            raise Malformed(f"the card answered before the end of {what}", offset=0, party="eUICC")
    return answer


def _transmit(ipa: Ipa, apdu: bytes, what: str) -> Procedure[bytes]:
    """One command with all that T=0 and the toolkit put around it; the data of its answer."""
    answer = yield from ask(Transmit(apdu))
    status = _status(answer)
    if status >> 8 == 0x6C:
        answer = yield from ask(Transmit(apdu + bytes((status & 0xFF,))))
        status = _status(answer)
    data = bytearray(answer[:-2])
    rounds = 0
    while status >> 8 == 0x61:
        rounds += 1
        if rounds > MANY_ANSWERS:
            raise Malformed(f"the answer to {what} does not end", offset=len(data), party="eUICC")
        fetch = bytes((_class(0x00, ipa.channel), 0xC0, 0x00, 0x00, status & 0xFF))
        answer = yield from ask(Transmit(fetch))
        status = _status(answer)
        data += answer[:-2]
    if status >> 8 == 0x91:
        yield from _serve_toolkit(ipa, status & 0xFF)
        return bytes(data)
    if status >> 8 == 0x90:
        return bytes(data)
    raise CardRefused(status, what)


def _serve_toolkit(ipa: Ipa, length: int) -> Procedure[None]:
    """A proactive command waits. On a bare reader nobody else answers it: fetch, "performed" (§12.2)."""
    if not ipa.configuration.answers_proactive_commands:
        return
    while True:
        answer = yield from ask(Transmit(bytes((0x80, 0x12, 0x00, 0x00, length))))
        command = answer[:-2]
        details = _command_details(command)
        if details is None:
            return
        response = b"\x81\x03" + details + bytes.fromhex("82028281830100")
        answer = yield from ask(Transmit(bytes((0x80, 0x14, 0x00, 0x00, len(response))) + response))
        if details[1] == REFRESH:
            ipa.switched = True
            ipa.has_session = False
            return
        status = _status(answer)
        if status >> 8 != 0x91:
            return
        length = status & 0xFF


def _command_details(command: bytes) -> bytes | None:
    """Number, type and qualifier: the value of tag 81 (or 01) at the start of D0."""
    for start in (2, 3):
        if command[start : start + 2] in (b"\x81\x03", b"\x01\x03") and len(command) >= start + 5:
            return command[start + 2 : start + 5]
    return None


def _status(answer: bytes) -> int:
    if len(answer) < 2:
        raise Malformed("the card's answer has no status word", offset=0, party="eUICC")
    return int.from_bytes(answer[-2:], "big")


def _class(kind: int, channel: int) -> int:
    """Channels 0-3 in two bits, 4-19 with bit 7 set (bindings §12.1)."""
    return kind | channel if channel < 4 else kind | 0x40 | (channel - 4)


CARD_ERRORS = (WorldError, CardRefused, Malformed)
"""What may end a function of the card without a response object."""
