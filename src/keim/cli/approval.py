"""`keim approval`: what waits for a second person, and its decision."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import show, show_all, verb
from keim.cli.output import note
from keim.cli.parser import Nouns

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.models import Approval

STATES = ("waiting", "approved", "refused", "withdrawn", "expired")


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "approval",
        help="what waits for a second person: look, approve, refuse, withdraw",
        description="Four eyes: whoever asked for it cannot decide.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verb(verbs, "list", _list, "what waits, oldest first")
    listing.add_argument("--state", choices=STATES, help="what was decided so (default: waiting)")
    listing.add_argument("--all", action="store_true", help="in every state")
    verb(verbs, "show", _show, "one approval").add_argument("approval", metavar="ID")
    for name, summary in (
        ("approve", "let it happen"),
        ("refuse", "it shall not happen"),
        ("withdraw", "take back what you asked for"),
    ):
        decide = verb(verbs, name, _decide, summary)
        decide.add_argument("approval", metavar="ID")
        decide.add_argument("--reason", default="", metavar="TEXT", help="for the log")


def _list(args: argparse.Namespace, client: Client) -> int:
    state = None if args.all else args.state or "waiting"
    count = show_all(client.approvals.list(state=state), _line, as_json=args.json)
    note(f"{count} approvals" if state is None else f"{count} {state}")
    return ExitCode.OK


def _line(approval: Approval) -> tuple[object, ...]:
    return (
        approval.id,
        approval.state,
        f"{approval.asked_at:%Y-%m-%d %H:%M}",
        approval.asked_by,
        approval.summary,
    )


def _show(args: argparse.Namespace, client: Client) -> int:
    show(client.approvals.get(args.approval), as_json=args.json)
    return ExitCode.OK


def _decide(args: argparse.Namespace, client: Client) -> int:
    decisions = {
        "approve": client.approvals.approve,
        "refuse": client.approvals.refuse,
        "withdraw": client.approvals.withdraw,
    }
    show(decisions[args.verb](args.approval, args.reason), as_json=args.json)
    return ExitCode.OK
