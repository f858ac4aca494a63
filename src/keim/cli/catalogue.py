"""`keim catalogue`: profiles that devices can be given, their activation codes, downloads with them."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import confirm, document_of, moment, show, show_all, verb
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.cli.progress import Progress
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.models import Code, Product

TOGETHER = 1000


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "catalogue",
        help="profiles that devices can be given, their activation codes, downloads with them",
        description="A product is a kind of profile; its stock are activation codes, or an SM-DP+ (ES2+).",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = _of_product(verb(verbs, "create", _create, "add a product"))
    create.add_argument("--description", default="", metavar="TEXT")
    create.add_argument("--provider", default="", metavar="TEXT", help="service provider")
    create.add_argument("--low-stock", type=int, default=0, metavar="N", help="fewer free codes are told")
    create.add_argument("--server", default="", metavar="NAME", help="order from this SM-DP+ (es2plus.NAME)")
    create.add_argument("--profile-type", default="", metavar="TYPE", help="what is ordered there")
    verb(verbs, "list", _list, "products and their stock")
    _of_product(verb(verbs, "show", _show, "one product"))
    remove = _of_product(verb(verbs, "remove", _remove, "remove a product that has no codes left"))
    remove.add_argument("--yes", action="store_true", help="do it without asking")
    add = _of_product(verb(verbs, "add", _add, "take activation codes into stock"))
    add.add_argument(
        "file",
        metavar="FILE",
        help="one code a line, or CSV: activation_code,confirmation_code,iccid; - for stdin",
    )
    add.add_argument("--dry-run", action="store_true", help="only say what would be refused")
    codes = _of_product(verb(verbs, "codes", _codes, "the codes of a product"))
    codes.add_argument("--state", choices=("free", "reserved", "in_use", "used", "burnt"))
    reserve = _of_product(verb(verbs, "reserve", _reserve, "reserve a free code"))
    reserve.add_argument("--eid", metavar="EID", help="for this device's downloads only")
    reserve.add_argument("--note", default="", metavar="TEXT")
    reserve.add_argument("--until", type=moment, metavar="TIME", help="such as 2026-12-31T12:00:00Z")
    use = _of_product(verb(verbs, "use", _use, "say that a code was used elsewhere"))
    use.add_argument("code", type=int, metavar="CODE", help="its number")
    use.add_argument("--eid", metavar="EID")
    use.add_argument("--note", default="", metavar="TEXT")
    back = _of_product(verb(verbs, "give-back", _give_back, "put a code back that is known to be good"))
    back.add_argument("code", type=int, metavar="CODE", help="its number")
    download = _of_product(verb(verbs, "download", _download, "order a download for each device"))
    download.add_argument("eids", nargs="*", metavar="EID")
    download.add_argument("--eids", dest="file", metavar="FILE", help="one EID a line; - for stdin")
    download.add_argument("--expires", type=moment, metavar="TIME", help="such as 2026-12-31T12:00:00Z")


def _of_product(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("product", metavar="PRODUCT", help="its name")
    return parser


def _create(args: argparse.Namespace, client: Client) -> int:
    made = client.catalogue.create(
        args.product,
        description=args.description,
        service_provider=args.provider,
        server=args.server,
        profile_type=args.profile_type,
        low_stock=args.low_stock,
    )
    show(made, as_json=args.json)
    return ExitCode.OK


def _list(args: argparse.Namespace, client: Client) -> int:
    show_all(client.catalogue.list(), _product, as_json=args.json)
    return ExitCode.OK


def _product(product: Product) -> tuple[object, ...]:
    stock = {state: count for state, count in product.codes.items() if count}
    return (product.name, product.server or product.source, stock, product.description or "")


def _show(args: argparse.Namespace, client: Client) -> int:
    show(client.catalogue.get(args.product), as_json=args.json)
    return ExitCode.OK


def _remove(args: argparse.Namespace, client: Client) -> int:
    product = client.catalogue.get(args.product)
    confirm(f"remove {product.name} from the catalogue?", args)
    client.catalogue.remove(product.name)
    note(f"removed {product.name}")
    return ExitCode.OK


def _add(args: argparse.Namespace, client: Client) -> int:
    given = list(_given(args.file))
    progress = Progress("codes", len(given))
    added, refused = 0, []
    for start in range(0, len(given), TOGETHER):
        lot = given[start : start + TOGETHER]
        answer = client.catalogue.add(args.product, [code for _, code in lot], is_rehearsal=args.dry_run)
        added += answer.added
        refused += [(lot[bad.position][0], bad) for bad in answer.refused]
        progress.advance(len(lot))
    progress.end()
    if args.json:
        bad_lines = [{"line": line, "code": bad.code, "message": bad.message} for line, bad in refused]
        print_json({"added": added, "refused": bad_lines})
    else:
        for line, bad in refused:
            note(f"line {line}: {bad.code}: {bad.message}")
        print(f"{added} {'would be taken' if args.dry_run else 'taken'}, {len(refused)} refused")
    return _partly(added, len(refused))


def _given(name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, members of a code)."""
    for number, row in enumerate(csv.reader(_lines(name)), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0] == "activation_code":
            continue
        members = dict(zip(("activation_code", "confirmation_code", "iccid"), cells, strict=False))
        yield number, {key: value for key, value in members.items() if value or key == "activation_code"}


def _lines(name: str) -> list[str]:
    if name == "-":
        return sys.stdin.read().splitlines()
    try:
        return Path(name).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is no text"
        raise Refused(f"{name}: {reason}", code="client.file_not_found") from None


def _codes(args: argparse.Namespace, client: Client) -> int:
    show_all(client.catalogue.codes(args.product, state=args.state), _code, as_json=args.json)
    return ExitCode.OK


def _code(code: Code) -> tuple[object, ...]:
    return (code.id, code.state, code.activation_code, code.eid or "", code.note or code.outcome or "")


def _reserve(args: argparse.Namespace, client: Client) -> int:
    reserved = client.catalogue.reserve(args.product, eid=args.eid, note=args.note, until=args.until)
    show(reserved, as_json=args.json)
    return ExitCode.OK


def _use(args: argparse.Namespace, client: Client) -> int:
    show(client.catalogue.use(args.product, args.code, eid=args.eid, note=args.note), as_json=args.json)
    return ExitCode.OK


def _give_back(args: argparse.Namespace, client: Client) -> int:
    show(client.catalogue.give_back(args.product, args.code), as_json=args.json)
    return ExitCode.OK


def _download(args: argparse.Namespace, client: Client) -> int:
    eids = [*args.eids, *(line.strip() for line in (_lines(args.file) if args.file else ()) if line.strip())]
    if not eids:
        raise Refused("name EIDs, or a file with --eids", code="client.bad_input")
    progress = Progress("downloads", len(eids))
    started = []
    for one in client.catalogue.download(args.product, eids, expires_at=args.expires):
        started.append(one)
        progress.advance(1)
    progress.end()
    failed = [one for one in started if one.problem is not None]
    if args.json:
        print_json([document_of(one) for one in started])
    else:
        for one in started:
            print(f"{one.eid}  {one.operation_id or '-'}  {one.problem or 'ordered'}")
        note(f"{len(started) - len(failed)} ordered, {len(failed)} refused")
    return _partly(len(started) - len(failed), len(failed))


def _partly(good: int, bad: int) -> ExitCode:
    if not bad:
        return ExitCode.OK
    return ExitCode.PARTLY_FAILED if good else ExitCode.USAGE
