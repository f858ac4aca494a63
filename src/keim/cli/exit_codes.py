"""The exit codes of every command, and the one place where errors become exit codes."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from keim.errors import KeimError, PeerError, Refused, TimedOut, Unreachable


class ExitCode(IntEnum):
    OK = 0
    FAULT = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED_BY_PEER = 4
    REFUSED_BY_POLICY = 5
    TIMED_OUT = 6
    PARTLY_FAILED = 7
    CANNOT_CONNECT = 8
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.FAULT: "our fault",
    ExitCode.USAGE: "wrong usage or unusable input",
    ExitCode.NOT_FOUND: "not found",
    ExitCode.REFUSED_BY_PEER: "refused by the peer or the eUICC",
    ExitCode.REFUSED_BY_POLICY: "refused by policy or permission",
    ExitCode.TIMED_OUT: "timed out: the outcome is unknown",
    ExitCode.PARTLY_FAILED: "partly failed",
    ExitCode.CANNOT_CONNECT: "cannot connect",
    ExitCode.INTERRUPTED: "interrupted",
}

NOT_FOUND: Final = ("not_found", ".device_unknown", ".order_unknown")
"""Last words of codes."""


NOT_LET_IN: Final = frozenset(
    {"oidc.token_invalid", "oidc.person_unmapped", "oidc.login_refused", "oidc.login_expired"}
)


def exit_code_of(error: KeimError) -> ExitCode:
    """By the code's last word where it says more than the class, else by the class.

    A peer error without a party is about bytes that the caller gave us: unusable input, not a refusing peer.
    """
    if error.code.endswith(NOT_FOUND):
        return ExitCode.NOT_FOUND
    if error.code.startswith(("policy.", "access.")) or error.code in NOT_LET_IN:
        return ExitCode.REFUSED_BY_POLICY
    if isinstance(error, Refused):
        return ExitCode.USAGE
    if isinstance(error, PeerError):
        return ExitCode.USAGE if error.party is None else ExitCode.REFUSED_BY_PEER
    if isinstance(error, TimedOut):
        return ExitCode.TIMED_OUT
    if isinstance(error, Unreachable):
        return ExitCode.CANNOT_CONNECT
    return ExitCode.FAULT
