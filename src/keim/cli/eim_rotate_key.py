"""`keim eim rotate-key`: a new signing key, taken over device by device, and the old one's end."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.app.eim_key_rotation import KeyRotation, Progress


def register(
    verbs: Nouns,
    add_configuration: Callable[[argparse.ArgumentParser], None],
    configuration: Callable[[argparse.Namespace], Any],
) -> None:
    parser = verbs.add_parser(
        "rotate-key",
        help="give the eIM a new signing key, device by device",
        description="A new signing key: eUICCs get it by updateEim, signed with the old one, which is kept"
        " until every active device has proved the new one. Each step may be run again after a cut.",
    )
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    for name, summary in (
        ("start", "make the key and order it for all devices; goes on with a rotation that was cut off"),
        ("status", "how far it is; --left lists who has not followed"),
        ("continue", "finish what was cut off, and ask those again that failed or came later"),
        ("finish", "give the old key up when every active device knows the new one"),
    ):
        step = steps.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        add_configuration(step)
        step.set_defaults(run=lambda args: run(args, configuration(args)))
        if name == "status":
            step.add_argument("--left", action="store_true", help="list the devices that have not followed")
        if name == "finish":
            step.add_argument(
                "--force", action="store_true", help="leave behind who has not followed; they are listed"
            )
            step.add_argument("--yes", action="store_true", help="do not ask: the old key is deleted")


def run(args: argparse.Namespace, config: Any) -> int:
    if args.step == "finish" and not args.yes:
        _ask()
    progress, left = asyncio.run(_step(args, config))
    if progress is None:
        raise Refused("no rotation was ever begun", code="eim.rotation_not_found")
    if args.json:
        print_json(_document(progress, left))
    else:
        _show(progress, left)
    return ExitCode.OK


def _ask() -> None:
    if not sys.stdin.isatty():
        raise Refused("finish wants --yes where nobody can be asked", code="eim.needs_yes")
    print("The old key is deleted for ever. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("it was not confirmed", code="eim.needs_yes")


async def _step(args: argparse.Namespace, config: Any) -> tuple[Progress | None, list[str]]:
    from keim.app.eim import open_service
    from keim.app.eim_key_rotation import KeyRotation
    from keim.io.pki_files import load_world

    running = await open_service(config, load_world(Path(config.pki)))
    try:
        rotation = KeyRotation(running.service, config)
        await rotation.prepare()
        progress = await _STEPS[args.step](rotation, args)
        if args.step == "finish" and progress is not None:
            return progress, list(progress.rotation.left)
        if getattr(args, "left", False):
            return progress, [device.eid async for device in rotation.left_behind()]
        return progress, []
    finally:
        await running.close()


async def _start(rotation: KeyRotation, args: argparse.Namespace) -> Progress | None:
    del args
    return await rotation.start()


async def _status(rotation: KeyRotation, args: argparse.Namespace) -> Progress | None:
    del args
    return await rotation.status()


async def _continue(rotation: KeyRotation, args: argparse.Namespace) -> Progress | None:
    del args
    return await rotation.go_on()


async def _finish(rotation: KeyRotation, args: argparse.Namespace) -> Progress | None:
    return await rotation.finish(force=args.force)


_STEPS = {"start": _start, "status": _status, "continue": _continue, "finish": _finish}


def _document(progress: Progress, left: list[str]) -> dict[str, Any]:
    rotation = progress.rotation
    return {
        "type": "result",
        "number": rotation.number,
        "state": rotation.state.value,
        "old_key": rotation.old,
        "new_key": rotation.new or None,
        "round": rotation.round,
        "begun_at": rotation.begun_at.isoformat(),
        "ended_at": None if rotation.ended_at is None else rotation.ended_at.isoformat(),
        "devices": progress.devices,
        "followed": progress.followed,
        "left": progress.left,
        "operations": progress.states,
        "left_behind": left,
    }


def _show(progress: Progress, left: list[str]) -> None:
    rotation = progress.rotation
    print(f"rotation {rotation.number}: {rotation.state.value}, key {rotation.old} -> {rotation.new or '?'}")
    print(f"{progress.followed} of {progress.devices} active devices know the new key")
    states = ", ".join(f"{count} {state}" for state, count in sorted(progress.states.items()))
    print(f"round {rotation.round}: {states or 'nobody has polled yet'}")
    for eid in left:
        print(eid)
    if progress.left and not rotation.ended_at:
        note("a running eIM reads the new key within a minute, or at once on SIGHUP")
