"""What the commands of one package share while it runs, and what each of them returns.

A command is a function `(run, body) -> Outcome`: it reads `run.state`, and the state that it returns is
committed together with its result (T3). Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from keim.der import tlv
from keim.euicc.isdr_state import Author

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState


class Outcome(NamedTuple):
    """One entry of euiccResult, and the state after the command."""

    result: bytes
    state: CardState
    is_success: bool = True


class PackageRun:
    """One package under execution."""

    __slots__ = ("author", "context", "has_deleted", "has_disabled", "has_enabled", "state")

    def __init__(self, context: CardContext, author: Author) -> None:
        self.context = context
        self.author = author
        self.state: CardState = context.state
        self.has_enabled = False
        self.has_disabled = False
        self.has_deleted = False

    def refused(self, tag: int, code: int) -> Outcome:
        """The command's own result with an error code; nothing has changed."""
        return Outcome(tlv(tag, bytes((int(code),))), self.state, False)

    def done(self, tag: int, state: CardState, code: int = 0) -> Outcome:
        return Outcome(tlv(tag, bytes((int(code),))), state)


Command = Callable[[PackageRun, Any], Outcome]
