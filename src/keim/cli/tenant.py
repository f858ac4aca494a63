"""`keim tenant`: the customers of one installation."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import confirm, show, show_all, verb
from keim.cli.output import note
from keim.cli.parser import Nouns

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.models import Tenant


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "tenant",
        help="the customers of one eIM: make, list, close and open them",
        description="Tenants; --tenant NAME of the other commands acts for one of them.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verb(verbs, "create", _create, "make a tenant")
    create.add_argument("name", metavar="NAME", help="its key, for ever: a-z, 0-9 and -")
    create.add_argument("--title", default="", metavar="TEXT", help="how people call it")
    verb(verbs, "list", _list, "all tenants")
    verb(verbs, "show", _show, "one tenant").add_argument("name", metavar="NAME")
    close = verb(verbs, "close", _close, "let nobody of it in any more; its devices go on")
    close.add_argument("name", metavar="NAME")
    close.add_argument("--yes", action="store_true", help="do it without asking")
    verb(verbs, "open", _open, "open a closed tenant again").add_argument("name", metavar="NAME")


def _create(args: argparse.Namespace, client: Client) -> int:
    show(client.tenants.create(args.name, title=args.title), as_json=args.json)
    note(f"Its first token: keim token create NAME --role admin --tenant {args.name}")
    return ExitCode.OK


def _list(args: argparse.Namespace, client: Client) -> int:
    count = show_all(client.tenants.list(), _line, as_json=args.json)
    note(f"{count} tenants")
    return ExitCode.OK


def _line(tenant: Tenant) -> tuple[object, ...]:
    return (tenant.name, "closed" if tenant.is_closed else "open", tenant.title or "-")


def _show(args: argparse.Namespace, client: Client) -> int:
    show(client.tenants.get(args.name), as_json=args.json)
    return ExitCode.OK


def _close(args: argparse.Namespace, client: Client) -> int:
    tenant = client.tenants.get(args.name)
    confirm(f"close the tenant {tenant.name}? Its people and programs are locked out at once.", args)
    show(client.tenants.change(tenant.name, is_closed=True), as_json=args.json)
    return ExitCode.OK


def _open(args: argparse.Namespace, client: Client) -> int:
    show(client.tenants.change(args.name, is_closed=False), as_json=args.json)
    return ExitCode.OK
