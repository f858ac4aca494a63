"""`keim audit export [DIR] FILE`: the log of an eIM, or a published one, as one file."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from keim.audit.export import export
from keim.cli.exit_codes import ExitCode
from keim.cli.operating import connect
from keim.cli.output import note, print_json
from keim.errors import Refused
from keim.io.audit_files import ExportIndex, LogDirectory, write_export
from keim.io.pem import read_certificates


def run(args: argparse.Namespace) -> int:
    target = Path(args.file)
    if target.exists():
        raise Refused(f"{target} exists already", code="audit.export_exists")
    roots = [root.der for path in args.root for root in read_certificates(Path(path))]
    if args.api is not None:
        octets, size, key = _of_api(args, target)
    elif args.log is None:
        octets, size, key = _of_eim(args, target, roots)
    else:
        log = LogDirectory.open(Path(args.log))
        octets, size, key = write_export(target, export(log, roots=roots)), log.size, log.key.text
    if args.json:
        print_json({"file": str(target), "octets": octets, "leaves": size, "log_key": key})
    else:
        print(target)
        note(f"{size} leaves, {octets} octets; check it with: keim audit verify {target} --root CI.pem")
    return ExitCode.OK


def _of_api(args: argparse.Namespace, target: Path) -> tuple[int, int, str]:
    """Octets, leaves and the log's key: what the file says, since `verify` is to judge it."""
    if args.log is not None or args.root:
        raise Refused("--api takes neither DIR nor --root", code="client.bad_input")
    with connect(args) as client:
        stream = client.export_log()
        try:
            octets = write_export(target, stream.pieces())
        finally:
            stream.close()
    with target.open("rb") as file:
        index = ExportIndex(file)
        return octets, index.size, index.key.text


def _of_eim(args: argparse.Namespace, target: Path, roots: list[bytes]) -> tuple[int, int, str]:
    """Octets, leaves and the log's key. The eIM may run meanwhile: the export ends at a checkpoint."""
    from keim.app.eim import eim_id_of, log_signers_of
    from keim.app.eim_backup import is_server
    from keim.app.eim_logs import EimLogs
    from keim.cli.eim import configuration
    from keim.eim.rows import MAIN
    from keim.io.eim_store.log import Source
    from keim.io.pki_files import load_world
    from keim.io.store.open import open_engine
    from keim.io.world_clock import SystemClock

    config = configuration(args)
    if not is_server(config.store) and not Path(config.store).is_file():
        raise Refused(f"{config.store} does not exist", code="audit.log_not_found")
    world = load_world(Path(config.pki))
    signers = log_signers_of(config, eim_id_of(config, world))
    signers.open()
    with asyncio.Runner() as runner:
        engine = runner.run(open_engine(config.store))
        try:
            engine.shelf = config.retention.checked().shelf
            logs = EimLogs(engine, signers, SystemClock().now)
            runner.run(logs.prepare())
            tenant = args.tenant or MAIN
            runner.run(logs.publisher.publish(tenant))
            log = logs.of(tenant)
            latest = runner.run(log.latest())
            size = 0 if latest is None else latest.point.size
            own = [root.der for root in world.roots]
            octets = write_export(target, export(Source(log, runner.run), roots=[*own, *roots]))
            return octets, size, log.key.text
        finally:
            runner.run(engine.close())
