"""The nouns of the command line: name, module, one line of help.

A module named here has `register(nouns) -> None`, which adds its parser with `nouns.add_parser(...)` and sets
`run=<function>` on it (`parser.set_defaults(run=run)`); `run(args) -> int` returns an `ExitCode`.
Adding a noun is one line here and one module. Imports nothing of keim.
"""

from __future__ import annotations

from keyword import iskeyword
from typing import NamedTuple


class Noun(NamedTuple):
    name: str
    help: str

    @property
    def module(self) -> str:
        """`import` is no name that Python can import by: its module ends with an underscore."""
        name = self.name.replace("-", "_")
        return f"keim.cli.{name}_" if iskeyword(name) else f"keim.cli.{name}"


NOUNS: tuple[Noun, ...] = (
    Noun("up", "run the whole world on this machine: servers, devices, the zero-touch story"),
    Noun("test", "run all tests (in a checkout: ./keim test)"),
    Noun("pki", "make, look at and check certificates: a test world in one command"),
    Noun("decode", "show what a message, an APDU or an APDU log says, field by field"),
    Noun("profile", "make, look at, check, change and compare profile packages"),
    Noun("euicc", "software eUICCs: make a card, serve it to readers and clients, send it APDUs"),
    Noun("ipa", "run the assistant of a gateway on a card: poll eIMs, execute, download, report"),
    Noun("eim", "run an eIM: orders for fleets of eUICCs"),
    Noun("smdp", "run an SM-DP+, fill its stock, order profiles"),
    Noun("smds", "run an SM-DS: events that wait for an eUICC"),
    Noun("device", "devices of an eIM: register, search, look at their twins, watch what happens"),
    Noun("operation", "what is asked of devices, and what became of it"),
    Noun("login", "sign in at an eIM, so that the other commands know it"),
    Noun("logout", "forget what keim login stored"),
    Noun("token", "make, list and revoke tokens of the operators' API"),
    Noun("tenant", "the customers of one eIM: make, list, close and open them"),
    Noun("approval", "what waits for a second person: look, approve, refuse, withdraw"),
    Noun("webhook", "send an eIM's events to receivers: make, test, pause, resume, send again"),
    Noun("catalogue", "profiles that devices can be given, their activation codes, downloads with them"),
    Noun("import", "bring devices into an eIM out of files"),
    Noun("export", "the factory's file of an eIM, and what a tenant owns"),
    Noun("audit", "check, look at and prove what an audit log says, without the eIM"),
    Noun("explain", "say what an error code means, who must act and what to do next"),
    Noun("doctor", "look at this machine: what keim finds here and what to install for the rest"),
    Noun("bench", "measure speed (in a checkout)"),
    Noun("completion", "print the completion script of a shell"),
)
