"""Papers of a hand-over as bodies of requests and answers, in the words of OpenAPI."""

from __future__ import annotations

from typing import Any, Final

PAPER: Final = "application/octet-stream"
_EXAMPLE: Final = "{}\n\n\u2014 eim.example.com/audit AAAAAAA=\n"
PAPER_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A paper as the other eIM wrote it: docs/explanation/handover.md.",
        "content": {PAPER: {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}
PAPER_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {PAPER: {"schema": {"type": "string"}}}}
}
"""As OpenAPI has it; FastAPI's own type of it."""
