"""`keim eim`: run an eIM, print what eUICCs must know of it, back its database up and put it back."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keim.cli import eim_archive, eim_handover, eim_openapi, eim_reach, eim_rotate_key
from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.errors import Refused


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "eim",
        help="run an eIM: orders for fleets of eUICCs",
        description="An eIM: ESipa for devices in both bindings, signed packages, verified results.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    init = verbs.add_parser("init", help="prepare the database and print what eUICCs must know of this eIM")
    _add_configuration(init)
    init.add_argument(
        "--counter", type=counter_from(0), default=0, help="counter that new associations start from"
    )
    init.set_defaults(run=run_init)
    serve = verbs.add_parser("serve", help="run the server until it is told to stop")
    _add_configuration(serve)
    serve.add_argument("--listen", metavar="HOST:PORT", help="ESipa for devices")
    serve.add_argument("--api-listen", metavar="HOST:PORT", help="the operators' API (default: off)")
    serve.add_argument("--status-listen", metavar="HOST:PORT", help="/healthz, /readyz, /metrics")
    serve.add_argument("--no-tls", action="store_true", help="plain HTTP, for a proxy that ends TLS")
    serve.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes on one PostgreSQL database"
    )
    serve.set_defaults(run=run_serve)
    backup = verbs.add_parser("backup", help="copy the database of a running eIM to a file")
    _add_configuration(backup)
    backup.add_argument("file", type=Path, metavar="FILE", help="where the copy goes; must not exist")
    backup.set_defaults(run=run_backup)
    restore = verbs.add_parser(
        "restore", help="put a backup back and let counters leap ahead of what may have been used"
    )
    _add_configuration(restore)
    restore.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="without it: the database was restored already"
    )
    restore.add_argument(
        "--leap", type=counter_from(1), default=1000, metavar="N", help="how far every counter jumps"
    )
    restore.set_defaults(run=run_restore)
    eim_rotate_key.register(verbs, _add_configuration, configuration)
    eim_reach.register(verbs, _add_configuration, configuration)
    eim_openapi.register(verbs)
    eim_archive.register(verbs, _add_configuration, configuration)
    eim_handover.register(verbs)


def counter_from(least: int) -> Callable[[str], int]:
    """Reads a counter's value, or how far one leaps."""

    def counter(text: str) -> int:
        from keim.eim.settings import COUNTER_MAXIMUM

        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        if not least <= number <= COUNTER_MAXIMUM:
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number from {least} to {COUNTER_MAXIMUM}")
        return number

    return counter


def _add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML (or KEIM_EIM_CONFIG)")
    parser.add_argument("--pki", metavar="DIR", help="PKI directory (keim pki init)")
    parser.add_argument("--store", metavar="FILE|URL", help="SQLite file or postgresql:// address")
    parser.add_argument("--eim-id", metavar="ID", help="the name that eUICCs know (default: certificate's)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def configuration(args: argparse.Namespace, **options: Any) -> Any:
    """The configuration of file, environment and options, in rising order."""
    from keim.app.config import load
    from keim.app.eim import EimConfig

    path = args.config or os.environ.get("KEIM_EIM_CONFIG")
    given = {"pki": args.pki, "store": args.store, "eim_id": args.eim_id, **options}
    return load(
        EimConfig,
        None if path is None else Path(path),
        prefix="KEIM_EIM",
        environment=os.environ,
        options=given,
    )


def run_init(args: argparse.Namespace) -> int:
    from keim.app.eim import configuration_data, open_service
    from keim.app.operators import first_token
    from keim.io.pki_files import load_world

    config = configuration(args)
    world = load_world(Path(config.pki))
    data = configuration_data(world, config, counter=args.counter)
    octets = data.encode()  # before a database and a token are made, which cannot be shown afterwards

    async def prepare() -> tuple[str, str | None]:
        running = await open_service(config, world)
        service = running.service
        try:
            return (
                running.logs.of().key.text,
                await first_token(service.store.engine, service.clock, service.entropy),
            )
        finally:
            await running.close()

    log_key, token = asyncio.run(prepare())
    document = {
        "type": "result",
        "eim_id": data.eim_id,
        "store": config.store,
        "eim_configuration_data": octets.hex().upper(),
        "log_key": log_key,
    }
    if token is not None:
        document["admin_token"] = token
    if args.json:
        print_json(document)
    else:
        print(f"eIM {data.eim_id}, store {config.store}")
        print(f"EimConfigurationData: {document['eim_configuration_data']}")
        print(f"audit log's key: {log_key}")
        if token is not None:
            print(f"first admin token, shown this once: {token}")
    return ExitCode.OK


def run_serve(args: argparse.Namespace) -> int:
    from keim.app.eim import serve
    from keim.app.eim_workers import run_workers
    from keim.io.json_log import log_as_json
    from keim.io.serve import event_loop

    config = configuration(
        args,
        listen=args.listen,
        status_listen=args.status_listen,
        api_listen=args.api_listen,
        tls=False if args.no_tls else None,
    )
    log_as_json(config.log_level)
    operators = None
    if config.api_listen is not None:
        operators = _operators()

    def ready(where: dict[str, Any]) -> None:
        if args.json:
            print_json({"type": "ready", **where})
        else:
            print(f"eIM {where['eim_id']}, store {where['store']}")
            for name, address in where["listen"].items():
                print(f"  {name:<8} {address}")
        sys.stdout.flush()

    if args.workers != 1:
        run_workers(config, args.workers, on_ready=ready, operators=operators)
    else:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(serve(config, on_ready=ready, operators=operators))
    if not args.json:
        note("keim eim: stopped")
    return ExitCode.OK


def run_backup(args: argparse.Namespace) -> int:
    from keim.app.eim_backup import backup

    config = configuration(args)
    octets = backup(config.store, args.file)
    if args.json:
        print_json({"type": "result", "file": str(args.file), "octets": octets})
    else:
        print(f"{args.file}: {octets} octets")
    return ExitCode.OK


def run_restore(args: argparse.Namespace) -> int:
    from keim.app.eim_backup import go_on, put_back
    from keim.io.world_clock import SystemClock

    config = configuration(args)
    if args.file is None:
        devices = asyncio.run(go_on(config.store, SystemClock(), leap=args.leap))
    else:
        devices = asyncio.run(put_back(args.file, config.store, SystemClock(), leap=args.leap))
    if args.json:
        print_json({"type": "result", "store": config.store, "devices": devices, "leap": args.leap})
    else:
        print(f"{config.store}: {devices} devices go on, every counter {args.leap} further")
    return ExitCode.OK


def _operators() -> Any:
    """The operators' application; the web framework is loaded only for those who serve it."""
    try:
        from keim.api.program import operators
    except ModuleNotFoundError as error:
        raise Refused(
            f"the operators' API needs the package {error.name}", code="serve.server_absent"
        ) from None
    return operators
