"""`keim token`: what programs let themselves in with at an eIM's operators' API."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import confirm, moment, show, show_all, verb
from keim.cli.output import note
from keim.cli.parser import Nouns

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.models import Token

SCOPES = ("read", "operate", "approve", "admin", "installation")


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "token",
        help="make, list and revoke tokens of the operators' API",
        description="Tokens for programs at an eIM's operators' API; people sign in with `keim login`.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verb(verbs, "create", _create, "make a token; prints it, this once")
    create.add_argument("name", metavar="NAME", help="what it is for")
    rights = create.add_mutually_exclusive_group(required=True)
    rights.add_argument("--scope", action="append", choices=SCOPES, help="what it may do (repeatable)")
    rights.add_argument("--role", metavar="ROLE", help="a set of scopes: viewer, operator, approver, ...")
    create.add_argument("--until", type=moment, metavar="TIME", help="its end, such as 2027-01-01T00:00:00Z")
    verb(verbs, "list", _list, "tokens, what they may do and when they were used last")
    verb(verbs, "show", _show, "one token").add_argument("token_id", metavar="ID")
    revoke = verb(verbs, "revoke", _revoke, "let nobody in with it any more")
    revoke.add_argument("token_id", metavar="ID")
    revoke.add_argument("--yes", action="store_true", help="do it without asking")


def _create(args: argparse.Namespace, client: Client) -> int:
    made = client.tokens.create(args.name, scopes=args.scope or (), role=args.role, expires_at=args.until)
    show(made, as_json=args.json)
    note("The token is shown this once: nobody can look it up again.")
    return ExitCode.OK


def _list(args: argparse.Namespace, client: Client) -> int:
    count = show_all(client.tokens.list(), _line, as_json=args.json)
    note(f"{count} tokens")
    return ExitCode.OK


def _line(token: Token) -> tuple[object, ...]:
    used = "never used" if token.last_used_at is None else f"used {token.last_used_at:%Y-%m-%d}"
    end = "revoked" if token.revoked_at is not None else ""
    if token.revoked_at is None and token.expires_at is not None:
        end = f"until {token.expires_at:%Y-%m-%d}"
    return (token.id, ",".join(token.scopes), used, end or "valid", token.name)


def _show(args: argparse.Namespace, client: Client) -> int:
    show(client.tokens.get(args.token_id), as_json=args.json)
    return ExitCode.OK


def _revoke(args: argparse.Namespace, client: Client) -> int:
    token = client.tokens.get(args.token_id)
    confirm(f"revoke the token {token.name!r}?", args)
    client.tokens.revoke(token.id)
    if args.json:
        show(client.tokens.get(token.id), as_json=True)
    note(f"revoked {token.id}")
    return ExitCode.OK
