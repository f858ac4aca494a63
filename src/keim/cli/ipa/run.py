"""`keim ipa run`: the daemon of a gateway, or one cycle of it."""

from __future__ import annotations

import argparse
import json
import queue
import signal
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from keim.app.ipa import IpaConfig, assistant, document_of
from keim.app.ipa_daemon import coap_listener_of, listener_of, run_daemon, run_once
from keim.app.ipa_trace import Trace
from keim.cli.exit_codes import ExitCode
from keim.cli.ipa.common import config_of
from keim.cli.output import note
from keim.errors import KeimError
from keim.io.ipa_control import Command, ControlSocket
from keim.io.ipa_listener import Injected
from keim.ipa.cycle import Cycle
from keim.ipa.events import Event


def run(args: argparse.Namespace) -> int:
    config = config_of(args)
    trace = Trace(lambda line: print(line, flush=True)) if args.trace else None

    def on_event(event: Event) -> None:
        document = document_of(event)
        if args.json:
            print(json.dumps({"type": "progress", **document}), flush=True)
        else:
            note(_line(document))

    if args.once:
        with assistant(config, on_event=on_event, observer=trace) as ipa:
            cycle, _ = run_once(ipa)
        return _report(args, cycle, trace)
    return _serve(args, config, on_event, trace)


def _serve(args: argparse.Namespace, config: IpaConfig, on_event: Any, trace: Trace | None) -> int:
    commands: queue.Queue[Command | Injected | None] = queue.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_end, commands))

    def on_cycle(cycle: Cycle, pause_s: float) -> None:
        _report(args, cycle, trace)
        note(f"next cycle in {pause_s:.0f} s")

    def on_failure(failure: KeimError) -> None:
        note(f"{failure.code}: {failure}")

    with ExitStack() as opened:
        ipa = opened.enter_context(assistant(config, on_event=on_event, observer=trace, commands=commands))
        if config.control:
            opened.callback(ControlSocket(Path(config.control), commands).close)
        for listener in (listener_of(config, commands), coap_listener_of(config, commands)):
            if listener is not None:
                opened.callback(listener.close)
        note(f"keim ipa runs on {config.card}")
        run_daemon(ipa, commands, on_cycle=on_cycle, on_failure=on_failure)
    return ExitCode.OK


def _end(commands: queue.Queue[Command | Injected | None], number: int, _frame: FrameType | None) -> None:
    """The first signal lets the cycle end; the second one ends at once, which loses nothing either."""
    note("ending after this cycle; once more to end at once")
    commands.put(None)
    signal.signal(number, signal.default_int_handler)


def _report(args: argparse.Namespace, cycle: Cycle, trace: Trace | None) -> int:
    document = {
        "type": "result",
        "eid": cycle.eid,
        "connected": cycle.connected,
        "packages": cycle.packages,
        "eims": [
            {
                "eim_id": eim_id,
                "packages": end.packages,
                "end": end.error.name.lower() if end.error is not None else None,
                "failure": end.failure or None,
            }
            for eim_id, end in cycle.retrieved
        ],
    }
    if args.json:
        print(json.dumps(document))
    else:
        print(f"EID {cycle.eid}: {cycle.packages} packages from {len(cycle.retrieved)} eIMs")
        for eim_id, end in cycle.retrieved:
            word = end.failure or (end.error.name.lower() if end.error is not None else "done")
            print(f"  {eim_id}: {end.packages} packages, {word}")
        if not cycle.retrieved and cycle.connected:
            note("no eIM could be asked: the card names none with an address (keim ipa status)")
        if trace is not None:
            print(trace.summary())
    sys.stdout.flush()
    if not cycle.connected:
        return ExitCode.CANNOT_CONNECT
    failed = len(cycle.failures)
    if failed and failed == len(cycle.retrieved):
        return ExitCode.CANNOT_CONNECT
    return ExitCode.PARTLY_FAILED if failed else ExitCode.OK


def _line(document: dict[str, Any]) -> str:
    members = ", ".join(
        f"{name} {value}" for name, value in document.items() if name != "event" and value not in (None, "")
    )
    return f"{document['event']}: {members}"
