"""`keim device watch`: the eIM's events as they happen, a line each with what they say."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import document_of, words_of
from keim.cli.output import Colour, coloured

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.device_models import Event

_QUIET: Final = frozenset(
    {"event", "at", "eid", "order", "actor", "effects", "digest", "transaction_id", "reference"}
)
"""Members that stand elsewhere in the line, or say nothing to a person."""
_COLOURS: Final[dict[str, Colour]] = {
    "succeeded": "green",
    "failed": "red",
    "rolled_back": "red",
    "unknown": "yellow",
}


def run(args: argparse.Namespace, client: Client) -> int:
    """Until interrupted, or until `--count` events have come."""
    told = client.events.follow(types=args.type, device=args.eid, tags=args.tag, after=args.after)
    is_json = args.json or args.jsonl
    for number, event in enumerate(told, 1):
        print(json.dumps(document_of(event), ensure_ascii=False) if is_json else line_of(event))
        sys.stdout.flush()
        if number == args.count:
            break
    return ExitCode.OK


def line_of(event: Event) -> str:
    words = [words_of(event.at), f"{event.id:>6}", event.device or "-", event.type]
    if event.operation is not None:
        words.append(event.operation)
    said = [_said(name, value) for name, value in event.data.items() if name not in _QUIET]
    words.append(", ".join(word for word in said if word))
    if event.actor not in ("device", "eim", ""):
        words.append(f"by {event.actor}")
    return "  ".join(word for word in words if word)


def _said(name: str, value: Any) -> str:
    if value in (None, "", [], {}, False):
        return ""
    if name == "state":
        state = str(value)
        return coloured(state, _COLOURS[state], sys.stdout) if state in _COLOURS else state
    if name in ("outcome", "what"):
        return words_of(value)
    label = name.replace("_", " ")
    return label if value is True else f"{label} {words_of(value)}"
