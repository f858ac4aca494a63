"""What goes to the terminal: data to stdout, all else to stderr; colour on a terminal only."""

from __future__ import annotations

import json
import os
import sys
from typing import Final, Literal, TextIO

Colour = Literal["red", "green", "yellow", "cyan", "bold", "dim"]
_SEQUENCES: Final[dict[Colour, str]] = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "bold": "1",
    "dim": "2",
}


def may_colour(stream: TextIO) -> bool:
    """True on a terminal, unless NO_COLOR (https://no-color.org) or a dumb terminal says otherwise."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: Colour, stream: TextIO | None = None) -> str:
    """The text for `stream` (default: stdout), coloured where that is allowed."""
    if not may_colour(sys.stdout if stream is None else stream):
        return text
    return f"\x1b[{_SEQUENCES[colour]}m{text}\x1b[0m"


def print_json(document: object, stream: TextIO | None = None) -> None:
    """One JSON document; members keep the order in which they were put together."""
    print(json.dumps(document, indent=2, ensure_ascii=False), file=sys.stdout if stream is None else stream)


def note(text: str) -> None:
    """A line for the person, not for the program that reads our stdout."""
    print(text, file=sys.stderr)
