"""APDUs and logs of them: headers and status words in words, and the objects that they carry in parts."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from keim.cli.output import coloured
from keim.errors import Malformed

_INSTRUCTIONS = {
    0x04: "DEACTIVATE FILE",
    0x10: "TERMINAL PROFILE",
    0x12: "FETCH",
    0x14: "TERMINAL RESPONSE",
    0x20: "VERIFY PIN",
    0x24: "CHANGE PIN",
    0x26: "DISABLE PIN",
    0x28: "ENABLE PIN",
    0x2C: "UNBLOCK PIN",
    0x32: "INCREASE",
    0x44: "ACTIVATE FILE",
    0x70: "MANAGE CHANNEL",
    0x82: "EXTERNAL AUTHENTICATE",
    0x84: "GET CHALLENGE",
    0x88: "AUTHENTICATE",
    0xA2: "SEARCH RECORD",
    0xA4: "SELECT",
    0xAA: "TERMINAL CAPABILITY",
    0xB0: "READ BINARY",
    0xB2: "READ RECORD",
    0xC0: "GET RESPONSE",
    0xC2: "ENVELOPE",
    0xCA: "GET DATA",
    0xCB: "GET DATA",
    0xD6: "UPDATE BINARY",
    0xDC: "UPDATE RECORD",
    0xE2: "STORE DATA",
    0xF2: "STATUS",
}
_STATUS = {
    0x9000: "done",
    0x6283: "selected file is invalidated",
    0x6300: "failed",
    0x6581: "memory problem",
    0x6700: "wrong length",
    0x6881: "logical channel not supported",
    0x6882: "secure messaging not supported",
    0x6900: "command not allowed",
    0x6981: "incompatible with the file's structure",
    0x6982: "security status not satisfied",
    0x6983: "authentication blocked",
    0x6984: "reference data invalidated",
    0x6985: "conditions of use not satisfied",
    0x6986: "no elementary file selected",
    0x6A80: "incorrect data",
    0x6A81: "function not supported",
    0x6A82: "file or application not found",
    0x6A83: "record not found",
    0x6A84: "not enough memory",
    0x6A86: "incorrect P1 or P2",
    0x6A87: "Lc does not fit P1 and P2",
    0x6A88: "referenced data not found",
    0x6B00: "wrong P1 or P2",
    0x6D00: "instruction not supported",
    0x6E00: "class not supported",
    0x6F00: "technical problem",
    0x9300: "toolkit busy",
}
_ARROWS = re.compile(
    r"(?P<arrow>-+>|=+>|>>|>|<-+|<=+|<<|<|\b(?:c-?apdu|r-?apdu|apdu|tx|rx|cmd|rsp|send|recv)\b\s*[:=]?)", re.I
)
_RESPONSE_MARKS = ("<", "r-apdu", "rapdu", "rx", "rsp", "recv")
Direction = Literal["command", "response"]


def is_command(octets: bytes) -> bool:
    """Built like a short command APDU with an instruction that cards know."""
    if len(octets) < 4 or octets[0] >> 4 not in (0x0, 0x4, 0x8, 0xC) or octets[1] not in _INSTRUCTIONS:
        return False
    if len(octets) <= 5:
        return True
    return bool(octets[4]) and len(octets) - 5 in (octets[4], octets[4] + 1)


_STATUS_FIRST = bytes.fromhex("61626364656768696a6b6c6d6e6f909193")


def is_response(octets: bytes) -> bool:
    """Ends like a response APDU."""
    return len(octets) >= 2 and octets[-2] in _STATUS_FIRST


def status_text(status: int) -> str:
    if status in _STATUS:
        return _STATUS[status]
    high, low = status >> 8, status & 0xFF
    by_first = {
        0x61: f"{low or 256} more octets to get",
        0x63: f"{low & 0x0F} tries left" if low >> 4 == 0xC else "warning",
        0x6C: f"wrong Le: {low or 256} octets",
        0x91: f"toolkit command of {low or 256} octets waits",
    }
    return by_first.get(high, "unknown status")


def one(octets: bytes, form: str, *, is_tolerant: bool) -> dict[str, Any]:
    """A lone command or response APDU, and the object in it if it is whole."""
    exchange = _command(octets) if form == "apdu" else _response(octets)
    _carry(exchange, bytes.fromhex(exchange["data"]), is_tolerant=is_tolerant)
    return exchange


def _command(octets: bytes) -> dict[str, Any]:
    if len(octets) < 4:
        raise Malformed(f"a command APDU has at least 4 octets, not {len(octets)}", offset=len(octets))
    name = _INSTRUCTIONS.get(octets[1], f"instruction {octets[1]:02X}")
    data = b""
    if len(octets) > 5:
        end = 5 + octets[4]
        if octets[4] == 0 or len(octets) not in (end, end + 1):
            raise Malformed(f"Lc is {octets[4]}, but {len(octets) - 5} octets follow", offset=4)
        data = octets[5:end]
    channel = (octets[0] & 0x0F) + 4 if octets[0] & 0x40 else octets[0] & 0x03
    words = f"channel {channel}, P1 {octets[2]:02X}, P2 {octets[3]:02X}"
    if octets[1] == 0xE2:
        words = f"channel {channel}, block {octets[3]}, {'last' if octets[2] & 0x80 else 'more follow'}"
    arrow = coloured("->", "cyan")
    line = f"{arrow} {octets[:5].hex(' ')}  {coloured(name, 'bold')} ({words}), {len(data)} octets of data"
    return {
        "direction": "command",
        "name": name,
        "header": octets[:4].hex(),
        "data": data.hex(),
        "lines": [line],
    }


def _response(octets: bytes) -> dict[str, Any]:
    if len(octets) < 2:
        raise Malformed("a response APDU has at least its status word", offset=len(octets))
    status = int.from_bytes(octets[-2:], "big")
    shown = coloured(f"{status:04X}", "green" if status == 0x9000 or status >> 8 in (0x61, 0x91) else "red")
    line = f"{coloured('<-', 'cyan')} {shown} {status_text(status)}, {len(octets) - 2} octets of data"
    data = octets[:-2].hex()
    return {
        "direction": "response",
        "status": f"{status:04X}",
        "meaning": status_text(status),
        "data": data,
        "lines": [line],
    }


def _carry(exchange: dict[str, Any], data: bytes, *, is_tolerant: bool) -> None:
    """Adds the objects that `data` holds."""
    from keim.cli.decode.tree import objects

    if not data:
        return
    exchange["objects"] = objects(data, is_tolerant=is_tolerant)
    for document in exchange["objects"]:
        exchange["lines"] += [f"     {line}" for line in document.pop("lines")]
        exchange.setdefault("faults", []).extend(document.pop("faults"))


def looks_like_log(text: str) -> bool:
    """Lines with an arrow or a name before the octets, or several lines that are APDUs by themselves."""
    lines = [line for line in text.splitlines() if line.strip()]
    read = [found for line in lines if (found := _read_line(line)) is not None]
    if any(direction is not None for direction, _ in read):
        return True
    return len(read) > 1 and not _is_one_block(lines)


def _is_one_block(lines: list[str]) -> bool:
    """Hex of one object, broken into lines: no marks, and no line that is an APDU by itself."""
    joined = "".join(lines)
    if re.search(r"[^0-9A-Fa-f\s]", joined):
        return False
    first = bytes.fromhex(re.sub(r"\s", "", lines[0])) if len(re.sub(r"\s", "", lines[0])) % 2 == 0 else b""
    return not is_command(first)


def _read_line(line: str) -> tuple[Direction | None, bytes] | None:
    """Direction (None: not marked) and octets of a line of a log; None for a line of other text."""
    if line.lstrip().startswith("{"):
        return _read_json(line)
    direction: Direction | None = None
    mark = _ARROWS.search(line)
    text = line
    if mark is not None:
        arrow = mark["arrow"].lower().rstrip(" :=")
        direction = "response" if arrow.startswith(_RESPONSE_MARKS) else "command"
        text = line[mark.end() :]
    digits = re.sub(r"[\s:,]|0x|SW[=:]?", "", text, flags=re.I)
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2}){2,}", digits):
        return None
    return direction, bytes.fromhex(digits)


def _read_json(line: str) -> tuple[Direction | None, bytes] | None:
    """lpac's protocol: {"type": "apdu", "payload": {"func": "transmit", "param": "80E2"}} and answers."""
    try:
        payload = json.loads(line).get("payload", {})
        if payload.get("func") == "transmit":
            return "command", bytes.fromhex(payload["param"])
        return ("response", bytes.fromhex(payload["data"])) if payload.get("data") else None
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None


def log(text: str, *, is_tolerant: bool) -> list[dict[str, Any]]:
    """Every exchange of a log; an object that is spread over several APDUs stands with the last of them."""
    documents: list[dict[str, Any]] = []
    sent, received = b"", b""
    expected: Direction = "command"
    for number, line in enumerate(text.splitlines(), 1):
        read = _read_line(line)
        if read is None:
            if line.strip():
                documents.append(
                    {"line": number, "direction": None, "text": line, "lines": [coloured(line, "dim")]}
                )
            continue
        direction = read[0] or expected
        exchange = _safely(read[1], direction)
        exchange["line"] = number
        documents.append(exchange)
        expected = "response" if direction == "command" else "command"
        if "data" not in exchange:
            continue
        data = bytes.fromhex(exchange["data"])
        if direction == "command":
            is_store_data = exchange["header"][2:4] == "e2"
            sent = sent + data if is_store_data else b""
            if not is_store_data:
                _carry_whole(exchange, data, is_tolerant=is_tolerant)
            elif int(exchange["header"][4:6], 16) & 0x80:
                _carry(exchange, sent, is_tolerant=is_tolerant)
                sent = b""
        else:
            received += data
            if not exchange["status"].startswith("61"):
                _carry_whole(exchange, received, is_tolerant=is_tolerant)
                received = b""
    return documents


def _safely(octets: bytes, direction: Direction) -> dict[str, Any]:
    try:
        return _command(octets) if direction == "command" else _response(octets)
    except Malformed as fault:
        line = f"{coloured('??', 'red')} {octets.hex()}  {fault}"
        return {"direction": direction, "octets": octets.hex(), "lines": [line], "faults": [fault]}


def _carry_whole(exchange: dict[str, Any], data: bytes, *, is_tolerant: bool) -> None:
    """Objects where the data are TLVs of ours; other data (file contents, challenges) are just shown."""
    from keim.der.read import read_tag
    from keim.messages.roots import types_with_tag

    try:
        tag, _ = read_tag(data, 0)
    except (IndexError, Malformed):
        tag = 0
    if (tag > 0xFF and types_with_tag(tag)) or tag in (0x6F, 0x62, 0xE1, 0xE3):
        _carry(exchange, data, is_tolerant=is_tolerant)
    elif data:
        exchange["lines"].append(f"     {data[:48].hex()}" + ("…" if len(data) > 48 else ""))
