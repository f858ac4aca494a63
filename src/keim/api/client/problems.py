"""From `application/problem+json` back to an exception of keim: programs and exit codes see the cause."""

from __future__ import annotations

import msgspec

from keim.api.client.transport import Answer
from keim.errors import KeimError, PeerError, Refused, TimedOut, WorldError


class _Problem(msgspec.Struct, frozen=True):
    code: str
    detail: str = ""
    title: str = ""
    party: str | None = None
    step: str | None = None
    request_id: str = ""


def error_of(answer: Answer) -> KeimError:
    try:
        problem = msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return PeerError(
            f"the server answered {answer.status} without saying why",
            code="client.broken_answer",
            party="server",
            evidence=answer.body[:100].decode("latin-1") or None,
        )
    kind = _kind(answer.status)
    party = problem.party or ("server" if kind is PeerError else None)
    evidence = f"request {problem.request_id}" if problem.request_id else None
    return kind(
        problem.detail or problem.title, code=problem.code, party=party, step=problem.step, evidence=evidence
    )


def _kind(status: int) -> type[KeimError]:
    """As `keim.api.problems` made the status of the class."""
    match status:
        case 502:
            return PeerError
        case 504:
            return TimedOut
        case _ if status >= 500 or status == 429:
            return WorldError
        case _:
            return Refused
