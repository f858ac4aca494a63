"""`keim eim archive`: move what has grown old out of the database, as `retention` says."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.app.eim_retention import Kept

_EACH = 256 * 40


def register(
    verbs: Nouns,
    add_configuration: Callable[[argparse.ArgumentParser], None],
    configuration: Callable[..., Any],
) -> None:
    parser = verbs.add_parser(
        "archive",
        help="move old leaves of the audit log to the archive, and drop what may be dropped",
        description="Does now what a serving eIM does once an hour: `retention` of the configuration. The"
        " audit log stays whole: exports and proofs read the archive.",
    )
    add_configuration(parser)
    parser.set_defaults(run=lambda args: run(args, configuration(args)))


def run(args: argparse.Namespace, config: Any) -> int:
    if not config.retention.is_on:
        raise Refused("the configuration keeps everything: set [retention]", code="config.invalid")
    kept = asyncio.run(_archive(config))
    if args.json:
        print_json(
            {
                "type": "result",
                "archive": config.retention.archive or None,
                "leaves": kept.leaves,
                "receipts": kept.receipts,
                "operations": kept.operations,
            }
        )
    else:
        print(f"{kept.leaves} leaves archived")
        print(f"{kept.receipts} receipts without their octets, {kept.operations} operations dropped")
    return ExitCode.OK


async def _archive(config: Any) -> Kept:
    from keim.app.eim import open_service
    from keim.io.pki_files import load_world

    def progress(leaves: int) -> None:
        if leaves % _EACH == 0:
            note(f"{leaves} leaves")

    running = await open_service(config, load_world(Path(config.pki)))
    try:
        await running.logs.publisher.run()
        return await running.retention.run(progress=progress)
    finally:
        await running.close()
