"""What the commands that operate an eIM share: where it is, one document or lines, confirmation.

`--api URL --token`, the environment, what `keim login` stored, or `--store` for a database on this machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from keim.api.client import Client
from keim.cli.output import print_json
from keim.cli.parser import Nouns, Parser
from keim.errors import Refused


def verb(
    verbs: Nouns, name: str, run: Callable[[argparse.Namespace, Client], int], summary: str, **more: Any
) -> Parser:
    """A verb with the options of a connection; `run` is given the connected client."""
    text = more.pop("description", summary[0].upper() + summary[1:] + ".")
    parser = verbs.add_parser(name, help=summary, description=text, **more)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    group = parser.add_argument_group("where the eIM is")
    group.add_argument("--api", metavar="URL", help="the operators' API (or KEIM_API_URL, or keim login)")
    group.add_argument("--token", metavar="TOKEN", help="better in KEIM_API_TOKEN: others see this option")
    group.add_argument("--ca", metavar="FILE", help="authority of the server's certificate (or KEIM_API_CA)")
    group.add_argument("--tenant", metavar="NAME", help="the tenant to act for (or KEIM_API_TENANT)")
    group.add_argument("--store", metavar="FILE|URL", help="a local database instead, without a server")
    group.add_argument("--pki", metavar="DIR", help="with --store: the PKI directory")
    group.add_argument("--config", type=Path, metavar="FILE", help="with --store: the eIM's configuration")

    def connected(args: argparse.Namespace) -> int:
        with connect(args) as client:
            return run(args, client)

    parser.set_defaults(run=connected)
    return parser


def connect(args: argparse.Namespace) -> Client:
    if args.store is not None or args.config is not None:
        if args.api is not None:
            raise Refused("--api and --store exclude one another", code="client.bad_input")
        return _local(args)
    from keim.api.client.connection import connection_of

    found = connection_of(
        os.environ,
        now=datetime.now(UTC),
        url=args.api,
        token=args.token,
        ca_file=args.ca,
        tenant=args.tenant,
    )
    return Client(found.url, token=found.token, tenant=found.tenant, ca_file=found.ca_file or None)


def _local(args: argparse.Namespace) -> Client:
    from keim.app.config import load
    from keim.app.eim import EimConfig

    try:
        from keim.api.client.local import local_client
    except ModuleNotFoundError as error:
        raise Refused(f"a local store needs the package {error.name}", code="serve.server_absent") from None
    options = {"store": args.store, "pki": args.pki}
    config = load(EimConfig, args.config, prefix="KEIM_EIM", environment=os.environ, options=options)
    if not config.store.startswith(("postgresql://", "postgres://")) and not Path(config.store).is_file():
        raise Refused(f"{config.store} does not exist", code="client.store_not_found")
    return local_client(config, **({"tenant": args.tenant} if args.tenant else {}))


def document_of(value: object) -> Any:
    """As JSON has it: names and times as the API writes them."""
    return msgspec.to_builtins(value)


def show(value: msgspec.Struct, *, as_json: bool) -> None:
    """One resource: a document, or a line for each member that says something."""
    document = document_of(value)
    if as_json:
        print_json(document)
        return
    for name, content in document.items():
        if content not in (None, "", [], (), {}):
            print(f"{name.replace('_', ' ')}: {words_of(content)}")


def show_all(
    values: Iterable[msgspec.Struct], line: Callable[[Any], Iterable[object]], *, as_json: bool
) -> int:
    """A list: a document, or one line each as they come. How many."""
    if as_json:
        documents = [document_of(value) for value in values]
        print_json(documents)
        return len(documents)
    count = 0
    for value in values:
        cells = list(line(value))
        while cells and cells[-1] in (None, "", (), []):
            cells.pop()
        print("  ".join(map(words_of, cells)))
        count += 1
    return count


def words_of(content: Any) -> str:
    match content:
        case None | "":
            return "-"
        case bool():
            return "yes" if content else "no"
        case datetime():
            return content.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case list() | tuple():
            return ", ".join(words_of(one) for one in content) or "-"
        case Mapping():
            return ", ".join(f"{name} {words_of(value)}" for name, value in content.items()) or "-"
        case _:
            return str(content)


def confirm(question: str, args: argparse.Namespace) -> None:
    """For what cannot be undone: --yes, or a person who says so."""
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise Refused("this wants --yes where nobody can be asked", code="client.bad_input")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("not confirmed", code="client.bad_input")


def moment(text: str) -> datetime:
    """For argparse: RFC 3339 with an offset."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-29T12:00:00Z")
    return found
