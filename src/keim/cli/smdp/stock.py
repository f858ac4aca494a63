"""`keim smdp stock`: profile packages into the server's database, and what is there."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any, Final

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.cli.smdp.serve import add_configuration, configuration
from keim.errors import KeimError, Refused


def register(verbs: Nouns) -> None:
    parser = verbs.add_parser("stock", help="take profile packages into stock, show what is there")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = actions.add_parser("add", help="take packages (UPP files, or directories of *.der) into stock")
    add_configuration(adding)
    adding.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    adding.add_argument("--type", required=True, metavar="NAME", help="profile type that orders name")
    adding.add_argument("--provider", metavar="TEXT", help="service provider (default: the package's)")
    adding.add_argument("--name", metavar="TEXT", help="profile name (default: the package's)")
    adding.add_argument("--operator", default="", metavar="NAME", help="only this operator may order them")
    adding.add_argument(
        "--ppr", action="append", choices=("ppr1", "ppr2"), default=[], help="policy rules of the profile"
    )
    adding.add_argument(
        "--protection",
        choices=("ppk", "session"),
        default="ppk",
        help="ppk: protect once, now (default); session: protect with each session's keys",
    )
    adding.add_argument("--json", action="store_true", help="one JSON document")
    adding.set_defaults(run=run_add)
    listing = actions.add_parser("list", help="profiles and their state")
    add_listing(listing)
    listing.set_defaults(run=run_list)


def add_listing(parser: argparse.ArgumentParser) -> None:
    add_configuration(parser)
    parser.add_argument("--state", metavar="STATE", help="only profiles in this state")
    parser.add_argument("--type", metavar="NAME", help="only profiles of this type")
    parser.add_argument("--json", action="store_true", help="one JSON document")


TOGETHER: Final = 64
"""Packages in one transaction: thousands are taken in seconds, and a fault costs its own package only."""


def files_of(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise Refused(f"{path} does not exist", code="smdp.file_not_found")
        files += sorted(path.glob("*.der")) if path.is_dir() else [path]
    return files


def run_add(args: argparse.Namespace) -> int:
    return asyncio.run(_add(args, configuration(args)))


async def _add(args: argparse.Namespace, config: Any) -> int:
    from keim.app.smdp import open_service
    from keim.io.pki_files import load_world
    from keim.messages.profile import PprIds
    from keim.smdp.rows import Protection
    from keim.smdp.stock import Label, admit

    rules = PprIds(0)
    for name in args.ppr:
        rules |= PprIds[name.upper()]
    service = await open_service(config, load_world(config.pki))
    label = Label(
        profile_type=args.type,
        service_provider=args.provider,
        profile_name=args.name,
        owner=args.operator,
        policy_rules=rules,
        notification_addresses=(service.smdp.address,),
    )
    stocked: list[str] = []
    failed: list[dict[str, str]] = []

    async def add(file: Path) -> str | None:
        try:
            decision = admit(
                file.read_bytes(),
                label,
                protection=Protection(args.protection),
                key_wrap=service.smdp.key_wrap,
                now=service.clock.now(),
                entropy=service.entropy,
            )
            return await service.stock(decision)
        except KeimError as error:
            failed.append({"file": str(file), "code": error.code, "message": str(error)})
            note(f"keim smdp: {file}: {error.code}: {error}")
            return None

    try:
        files = files_of(args.paths)
        for start in range(0, len(files), TOGETHER):
            done = await asyncio.gather(*map(add, files[start : start + TOGETHER]))
            stocked += [number for number in done if number is not None]
    finally:
        await service.store.engine.close()
    if args.json:
        print_json({"stocked": stocked, "failed": failed})
    else:
        print("\n".join(stocked))
        note(f"{len(stocked)} in stock as {args.type!r}, {len(failed)} failed")
    if failed:
        return ExitCode.PARTLY_FAILED if stocked else ExitCode.USAGE
    return ExitCode.OK


def run_list(args: argparse.Namespace) -> int:
    return asyncio.run(_list(args, configuration(args)))


async def _list(args: argparse.Namespace, config: Any) -> int:
    from keim.app.smdp_service import public_order
    from keim.io.smdp_store import SmdpStore
    from keim.io.store.open import open_engine

    store = SmdpStore(await open_engine(config.store))
    await store.prepare()
    rows: list[dict[str, Any]] = []
    try:
        after = ""
        while page := await store.profiles(state=args.state, profile_type=args.type, after=after):
            rows += [public_order(row) for row in page]
            after = page[-1].iccid
    finally:
        await store.engine.close()
    if args.json:
        print_json({"profiles": rows})
        return ExitCode.OK
    for row in rows:
        columns = (row["iccid"], row["state"], row["profile_type"], row.get("eid", "-"))
        print("  ".join((f"{columns[0]:<20}", f"{columns[1]:<11}", f"{columns[2]:<16}", columns[3])))
    note(f"{len(rows)} profiles")
    return ExitCode.OK
