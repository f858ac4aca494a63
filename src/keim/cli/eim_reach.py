"""`keim eim reach`: where the eIM calls a device to push packages to it, instead of waiting for its polls."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import print_json
from keim.cli.parser import Nouns
from keim.ids import Eid


def register(
    verbs: Nouns,
    add_configuration: Callable[[argparse.ArgumentParser], None],
    configuration: Callable[[argparse.Namespace], Any],
) -> None:
    parser = verbs.add_parser(
        "reach",
        help="say where the eIM calls a device, or that it polls",
        description="Where a device takes packages that are pushed to it. Without --at and --poll:"
        " what is known, and why the last call failed.",
    )
    add_configuration(parser)
    parser.add_argument("eid", metavar="EID")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--at", metavar="URL", help="https://HOST[:PORT]")
    where.add_argument("--poll", action="store_true", help="it polls; nobody calls it any more")
    parser.add_argument(
        "--certificate", type=Path, metavar="PEM", help="the device's own certificate: its key is pinned"
    )
    parser.set_defaults(run=lambda args: run(args, configuration(args)))


def run(args: argparse.Namespace, config: Any) -> int:
    eid = Eid(args.eid)
    address, trouble = asyncio.run(_reach(args, config, eid))
    if args.json:
        print_json(
            {"type": "result", "eid": str(eid), "address": address or None, "trouble": trouble or None}
        )
    else:
        print(f"{eid} {f'is called at {address}' if address else 'polls'}")
        if trouble:
            print(f"the last call failed: {trouble}")
    return ExitCode.OK


async def _reach(args: argparse.Namespace, config: Any, eid: Eid) -> tuple[str, str]:
    from keim.app.eim import open_service
    from keim.app.eim_reaching import Reaching
    from keim.eim.rows import Reach
    from keim.errors import Refused
    from keim.io.pem import read_certificates
    from keim.io.pki_files import load_world

    running = await open_service(config, load_world(Path(config.pki)))
    try:
        reaching = Reaching(running.service, config.device_schemes)
        if args.at is not None:
            spki = b"" if args.certificate is None else read_certificates(args.certificate)[0].spki
            device = await reaching.set_reach(eid, Reach(args.at, spki))
        elif args.poll:
            device = await reaching.set_reach(eid, None)
        else:
            found = await running.service.store.device(eid)
            if found is None:
                raise Refused(f"{eid} is not known here", code="eim.device_unknown")
            device = found
        address = "" if device.reach is None else device.reach.address
        return address, await reaching.trouble_of(device)
    finally:
        await running.close()
