"""`keim operation list|show|devices|wait|watch|cancel`: what became of operations."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import confirm, document_of, show, show_all, words_of
from keim.cli.output import note, print_json
from keim.cli.progress import Progress

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.device_models import Operation, Outcome


def add_waiting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="at most (exit code 6)")
    parser.add_argument("--jsonl", action="store_true", help="every change and the result as lines of JSON")


def run_list(args: argparse.Namespace, client: Client) -> int:
    show_all(client.operations.list(limit=args.limit), _line, as_json=args.json)
    return ExitCode.OK


def _line(operation: Operation) -> tuple[object, ...]:
    whom = operation.eid or f"{operation.devices} devices"
    return (operation.id, operation.ordered_at, operation.state, whom, operation.what)


def run_show(args: argparse.Namespace, client: Client) -> int:
    show(client.operations.get(args.operation), as_json=args.json)
    return ExitCode.OK


def run_devices(args: argparse.Namespace, client: Client) -> int:
    show_all(client.operations.devices(args.operation, state=args.state), _outcome, as_json=args.json)
    return ExitCode.OK


def _outcome(outcome: Outcome) -> tuple[object, ...]:
    proved = "proved" if outcome.is_proved else ""
    return (outcome.eid, outcome.state, outcome.ended_at or "", proved, outcome.outcome or "")


def run_wait(args: argparse.Namespace, client: Client) -> int:
    return wait(args.operation, args, client)


def run_watch(args: argparse.Namespace, client: Client) -> int:
    return wait(args.operation, args, client, says_all=True)


def run_cancel(args: argparse.Namespace, client: Client) -> int:
    operation = client.operations.get(args.operation)
    confirm(f"cancel {', '.join(operation.what)} ({operation.state}, {operation.devices} devices)?", args)
    answer = client.operations.cancel(args.operation, reason=args.reason)
    if args.json:
        print_json(document_of(answer))
    else:
        print(f"{answer.cancelled.replace('_', ' ')}: {args.operation} is {answer.operation.state}")
    if answer.cancelled == "asked":
        note("A device has it already and may still carry it out.")
    return {"sure": ExitCode.OK, "asked": ExitCode.TIMED_OUT}.get(
        answer.cancelled, ExitCode.REFUSED_BY_POLICY
    )


def wait(id_: str, args: argparse.Namespace, client: Client, *, says_all: bool = False) -> int:
    """Until it has ended; what it came to is shown, and is the exit code."""
    ended = client.operations.wait(id_, timeout_s=args.timeout, on_change=_teller(args, says_all))
    if args.jsonl:
        _json_line("result", ended)
    elif args.json:
        print_json(document_of(ended))
    else:
        told = ended.outcome.outcome if ended.outcome is not None else ()
        print(f"{ended.state}  {words_of(told) if told else words_of(ended.counts)}")
    note(f"operation {id_}" + (": it goes on, keim operation wait " + id_ if ended.is_open else ""))
    return outcome_code(ended)


def _teller(args: argparse.Namespace, says_all: bool) -> Callable[[Operation], None]:
    if args.jsonl:
        return lambda operation: _json_line("progress", operation)
    if says_all:
        return lambda operation: print(f"{operation.state}  {words_of(operation.counts)}", flush=True)
    bars: list[Progress] = []

    def advance(operation: Operation) -> None:
        if operation.devices < 2:
            return
        if not bars:
            bars.append(Progress("devices", operation.devices))
        bars[0].advance(operation.ended - bars[0].done)
        if not operation.is_open:
            bars[0].end()

    return advance


def _json_line(kind: str, operation: Operation) -> None:
    print(json.dumps({"type": kind, "operation": document_of(operation)}, ensure_ascii=False))
    sys.stdout.flush()


def outcome_code(operation: Operation) -> ExitCode:
    """Of an operation for many: partly failed as soon as they differ."""
    counts = {state: count for state, count in operation.counts.items() if count}
    if operation.is_open or not counts:
        return ExitCode.TIMED_OUT if operation.is_open else ExitCode.OK
    if len(counts) > 1:
        return ExitCode.PARTLY_FAILED
    match next(iter(counts)):
        case "succeeded":
            return ExitCode.OK
        case "failed" | "rolled_back":
            return ExitCode.REFUSED_BY_PEER
        case "cancelled" | "superseded":
            return ExitCode.REFUSED_BY_POLICY
        case _:
            return ExitCode.TIMED_OUT
