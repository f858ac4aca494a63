"""From what the person gave (hex, base64, a file, stdin) to octets or to the text of a log."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from keim.cli.decode.apdus import is_command, is_response, looks_like_log
from keim.errors import Malformed, Refused
from keim.messages.roots import types_with_tag

MOST_OCTETS = 64 * 1024 * 1024
_NOISE = re.compile(r"0[xX]|[\s:,_-]|\\x")


@dataclass(frozen=True, slots=True)
class Given:
    """The input as it came: `octets` from a binary file, else `text`."""

    text: str
    octets: bytes | None = None


def read_input(given: str | None) -> Given:
    if given is None or given == "-":
        return _from_octets(sys.stdin.buffer.read(MOST_OCTETS + 1), "standard input")
    if _hex(given) is not None:
        return Given(given)
    path = Path(given)
    try:
        if path.is_file():
            with path.open("rb") as file:
                return _from_octets(file.read(MOST_OCTETS + 1), given)
    except OSError as fault:
        raise Refused(f"{given}: {fault.strerror}", code="codec.unreadable_input") from None
    except ValueError:
        pass  # a text with a NUL in it is no file name
    return Given(given)


def _from_octets(octets: bytes, name: str) -> Given:
    if len(octets) > MOST_OCTETS:
        raise Refused(f"{name}: more than {MOST_OCTETS} octets", code="codec.unreadable_input")
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        return Given("", octets)
    return (
        Given(text)
        if text.isprintable() or re.fullmatch(r"[\x09-\x0d\x20-\x7e]*", text)
        else Given("", octets)
    )


def octets_of(given: Given) -> bytes:
    if given.octets is not None:
        return given.octets
    plain = _hex(given.text)
    if plain is None:
        plain = _base64(given.text)
    if not plain:
        shown = given.text if len(given.text) <= 40 else given.text[:40] + "…"
        what = (
            "nothing was given"
            if not given.text.strip()
            else f"{shown!r} is neither hex nor base64 nor a file"
        )
        raise Refused(what, code="codec.unreadable_input")
    return plain


def _hex(text: str) -> bytes | None:
    digits = _NOISE.sub("", text)
    if not digits or len(digits) % 2 or not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return None
    return bytes.fromhex(digits)


def _base64(text: str) -> bytes | None:
    lines = [line for line in text.split() if not line.startswith("-----")]
    joined = "".join(re.sub(r"-----[^-]*-----", "", line) for line in lines)
    try:
        if "-" in joined or "_" in joined:
            return base64.urlsafe_b64decode(joined + "=" * (-len(joined) % 4))
        return base64.b64decode(joined, validate=True)
    except (binascii.Error, ValueError):
        return None


def form_of(given: Given) -> str:
    """Whether the input is an object, an APDU or a log: objects by their tag, the rest by its build."""
    if given.octets is None and looks_like_log(given.text):
        return "log"
    octets = octets_of(given)
    if _begins_like_object(octets):
        return "object"
    if is_command(octets):
        return "apdu"
    if is_response(octets):
        return "response"
    return "object"


def _begins_like_object(octets: bytes) -> bool:
    from keim.der.read import read_tag, read_tlv

    try:
        tag, _ = read_tag(octets, 0)
        if tag > 0xFF and types_with_tag(tag):
            return not (is_response(octets) and _fills(octets[:-2]))
        element = read_tlv(octets, any_length_form=True)
    except (Malformed, IndexError):
        return False
    return element.end == len(octets) and not is_command(octets)


def _fills(octets: bytes) -> bool:
    from keim.der import walk

    try:
        return sum(1 for _ in walk(octets)) > 0
    except Malformed:
        return False
