"""The argument parser: argparse, with near names for mistyped ones and nouns imported one at a time."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn, TypeAlias

from keim import __version__
from keim.cli.exit_codes import MEANINGS, ExitCode
from keim.cli.registry import NOUNS, Noun

_CHOICE = re.compile(r"invalid choice: '?(?P<given>[^' ]+)'? \(choose from (?P<choices>.*)\)")


class Parser(argparse.ArgumentParser):
    """Says which name was probably meant, and ends with the exit code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        choice = _CHOICE.search(message)
        if choice:
            near = near_names(choice["given"], re.findall(r"[^', ]+", choice["choices"]))
            message += f"\n{meant(near)}" if near else ""
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n  see: {self.prog} --help\n")


Nouns: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What `register(nouns)` of a noun's module is given: `nouns.add_parser(name, help=..., description=...)`."""


def near_names(given: str, names: Iterable[str]) -> list[str]:
    """The names that were probably meant, best first."""
    known = list(names)
    starts = [name for name in known if given and name.startswith(given)]
    return list(dict.fromkeys([*starts, *get_close_matches(given, known, n=3, cutoff=0.6)]))


def meant(near: Sequence[str]) -> str:
    return f"  did you mean: {', '.join(near)}?"


def chosen_noun(arguments: Sequence[str]) -> str | None:
    """The first word that is no option; the options before it take no value."""
    return next((word for word in arguments if not word.startswith("-")), None)


def build_parser(noun: str | None) -> tuple[Parser, Nouns]:
    """The parser of the whole command, in which only `noun` knows its own arguments."""
    parser = Parser(
        prog="keim",
        description="The eSIM world of GSMA SGP.32 v1.2: eIM, IPA, eUICC, SM-DP+, SM-DS, PKI, tools.",
        epilog="exit codes: " + ", ".join(f"{code.value} {text}" for code, text in MEANINGS.items()),
    )
    parser.add_argument("-V", "--version", action="version", version=f"keim {__version__}")
    nouns = parser.add_subparsers(dest="noun", metavar="NOUN", title="nouns", parser_class=Parser)
    for known in NOUNS:
        register_noun(known, nouns, is_chosen=known.name == noun)
    return parser, nouns


def register_noun(noun: Noun, nouns: Nouns, *, is_chosen: bool) -> None:
    if is_chosen:
        import_module(noun.module).register(nouns)
    else:
        nouns.add_parser(noun.name, help=noun.help, add_help=False)
