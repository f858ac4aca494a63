"""The table of error codes: one row per code, read from error_codes/*.toml when somebody asks.

It feeds `keim explain`, the API's problem documents, the console and the docs; an exception carries only
the code.
Must never be imported by the floors that raise errors: they stay fast and need no sentences.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

from keim.errors import Refused

Actor = Literal["operator", "device", "peer", "developer", "nobody"]
ACTORS: Final[tuple[str, ...]] = get_args(Actor)
MEMBERS: Final = frozenset({"sentence", "cause", "who", "next", "retryable"})
OPTIONAL_MEMBERS: Final = frozenset({"reserved"})


@dataclass(frozen=True, slots=True)
class ErrorRow:
    code: str
    area: str
    """The file that the row stands in."""
    sentence: str
    cause: str
    who: Actor
    next: str
    retryable: bool
    reserved: str = ""
    """Why no code raises it yet; empty for a code in use."""


@cache
def error_rows() -> dict[str, ErrorRow]:
    """Every row, by code, in alphabetical order."""
    rows: dict[str, ErrorRow] = {}
    for entry in files("keim").joinpath("error_codes").iterdir():
        if not entry.name.endswith(".toml"):
            continue
        for code, members in tomllib.loads(entry.read_text("utf-8")).items():
            if code in rows:
                raise ValueError(f"error code {code} stands in {rows[code].area}.toml and in {entry.name}")
            rows[code] = _row(code, entry.name.removesuffix(".toml"), members)
    return dict(sorted(rows.items()))


def _row(code: str, area: str, members: dict[str, object]) -> ErrorRow:
    names = set(members)
    if not names >= MEMBERS or names - MEMBERS - OPTIONAL_MEMBERS:
        raise ValueError(f"the row of {code} needs exactly {', '.join(sorted(MEMBERS))}")
    if members["who"] not in ACTORS or type(members["retryable"]) is not bool:
        raise ValueError(f"the row of {code} has a wrong `who` or `retryable`")
    return ErrorRow(code=code, area=area, **members)  # type: ignore[arg-type]  # checked just above


def error_row(code: str) -> ErrorRow:
    try:
        return error_rows()[code]
    except KeyError:
        near = near_codes(code)
        hint = f"; near to it: {', '.join(near)}" if near else ""
        raise Refused(f"no error code is named {code!r}{hint}", code="request.code_not_found") from None


def near_codes(code: str) -> list[str]:
    """Codes that somebody may have meant, best first: a piece of a code or a mistyped one."""
    wanted = code.lower().strip()
    inside = [known for known in error_rows() if len(wanted) > 2 and wanted in known]
    close = get_close_matches(wanted, list(error_rows()), n=5, cutoff=0.6)
    return list(dict.fromkeys([*inside, *close]))[:8]
