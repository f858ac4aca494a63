"""`keim webhook`: events to receivers over HTTPS: make, test, pause, resume, look, send again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import confirm, show, show_all, verb
from keim.cli.output import note
from keim.cli.parser import Nouns

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.models import Delivery, Webhook


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "webhook",
        help="send an eIM's events to receivers",
        description="Webhooks: signed events (Standard Webhooks, CloudEvents) to receivers over HTTPS.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verb(verbs, "create", _create, "send events to a receiver; prints the secret, this once")
    create.add_argument("url", metavar="URL", help="https://...")
    _filters(create)
    verb(verbs, "list", _list, "webhooks, their state and how far each has come")
    _of_one(verb(verbs, "show", _show, "one webhook"))
    change = _of_one(verb(verbs, "change", _change, "another address or other filters"))
    change.add_argument("--url", metavar="URL")
    _filters(change)
    remove = _of_one(verb(verbs, "remove", _remove, "remove a webhook with its log of deliveries"))
    remove.add_argument("--yes", action="store_true", help="do it without asking")
    _of_one(verb(verbs, "rotate", _rotate, "a new secret; the old one stays good for a day"))
    _of_one(verb(verbs, "pause", _pause, "send nothing until it is resumed; nothing is lost"))
    resume = _of_one(verb(verbs, "resume", _resume, "go on where it stopped"))
    resume.add_argument("--skip", action="store_true", help="only what happens from now on")
    resume.add_argument("--after", type=int, metavar="EVENT", help="everything after this event (again)")
    _of_one(verb(verbs, "test", _test, "send a test event now; exit code 4 if it is not taken"))
    log = _of_one(verb(verbs, "deliveries", _deliveries, "every attempt of thirty days, latest first"))
    log.add_argument("--failed", action="store_true", help="only those that failed")
    log.add_argument("--limit", type=int, default=50, metavar="N", help="at most (default: 50)")
    resend = _of_one(verb(verbs, "resend", _resend, "send the event of a delivery once more"))
    resend.add_argument("delivery", type=int, metavar="DELIVERY")


def _of_one(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("webhook", metavar="WEBHOOK", help="its id")
    return parser


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--type", action="append", metavar="KIND", help="only such events, result_* for several (repeatable)"
    )
    parser.add_argument(
        "--tag", action="append", metavar="TAG", help="only of devices that carry one of these (repeatable)"
    )
    parser.add_argument("--description", metavar="TEXT")


def _create(args: argparse.Namespace, client: Client) -> int:
    made = client.webhooks.create(
        args.url, types=args.type or (), tags=args.tag or (), description=args.description or ""
    )
    show(made, as_json=args.json)
    note("The secret is shown this once: give it to the receiver.")
    return ExitCode.OK


def _list(args: argparse.Namespace, client: Client) -> int:
    count = show_all(client.webhooks.list(), _line, as_json=args.json)
    note(f"{count} webhooks")
    return ExitCode.OK


def _line(webhook: Webhook) -> tuple[object, ...]:
    return (webhook.id, webhook.state, f"event {webhook.after}", webhook.url, webhook.reason or "")


def _show(args: argparse.Namespace, client: Client) -> int:
    show(client.webhooks.get(args.webhook), as_json=args.json)
    return ExitCode.OK


def _change(args: argparse.Namespace, client: Client) -> int:
    changed = client.webhooks.change(
        args.webhook, url=args.url, types=args.type, tags=args.tag, description=args.description
    )
    show(changed, as_json=args.json)
    return ExitCode.OK


def _remove(args: argparse.Namespace, client: Client) -> int:
    webhook = client.webhooks.get(args.webhook)
    confirm(f"remove the webhook to {webhook.url}?", args)
    client.webhooks.remove(webhook.id)
    note(f"removed {webhook.id}")
    return ExitCode.OK


def _rotate(args: argparse.Namespace, client: Client) -> int:
    show(client.webhooks.rotate(args.webhook), as_json=args.json)
    note("The secret is shown this once; the one before stays good for a day.")
    return ExitCode.OK


def _pause(args: argparse.Namespace, client: Client) -> int:
    show(client.webhooks.pause(args.webhook), as_json=args.json)
    return ExitCode.OK


def _resume(args: argparse.Namespace, client: Client) -> int:
    show(client.webhooks.resume(args.webhook, skips=args.skip, after=args.after), as_json=args.json)
    return ExitCode.OK


def _test(args: argparse.Namespace, client: Client) -> int:
    return _delivered(client.webhooks.test(args.webhook), args)


def _resend(args: argparse.Namespace, client: Client) -> int:
    return _delivered(client.webhooks.resend(args.webhook, args.delivery), args)


def _delivered(delivery: Delivery, args: argparse.Namespace) -> int:
    show(delivery, as_json=args.json)
    if delivery.has_succeeded:
        return ExitCode.OK
    note("The receiver did not take it" + (f": keim explain {delivery.error}" if delivery.error else ""))
    return ExitCode.REFUSED_BY_PEER


def _deliveries(args: argparse.Namespace, client: Client) -> int:
    found = client.webhooks.deliveries(
        args.webhook, has_succeeded=False if args.failed else None, limit=args.limit
    )
    show_all(found, _attempt, as_json=args.json)
    return ExitCode.OK


def _attempt(delivery: Delivery) -> tuple[object, ...]:
    result = delivery.status if delivery.status is not None else delivery.error
    return (
        delivery.id,
        delivery.at,
        delivery.event_id,
        delivery.type,
        f"attempt {delivery.attempt}",
        result,
        f"{delivery.milliseconds} ms",
        "" if delivery.cause == "event" else delivery.cause,
    )
