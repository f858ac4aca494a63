"""`keim import`: devices out of a file, row by row; and what a tenant of another eIM owned."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import document_of, show, verb
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.cli.progress import Progress
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.models import ImportReport

PIECE = 1 << 16
MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
SHOWN = 20


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "import", help="bring devices into an eIM out of files", description="Files into an eIM."
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    devices = verb(verbs, "devices", _devices, "register the devices of a CSV or JSON lines file")
    devices.add_argument("file", metavar="FILE", help="- for stdin")
    devices.add_argument("--format", choices=tuple(MEDIA_TYPES), help="default: by the file's name, else CSV")
    devices.add_argument("--dry-run", action="store_true", help="change nothing, only report")
    devices.add_argument("--skip-known", action="store_true", help="devices that are there are no problem")
    devices.add_argument("--accept-bad-check-digits", action="store_true", help="for test cards")
    devices.add_argument("--tag", action="append", default=[], metavar="TAG", help="for all (repeatable)")
    devices.add_argument("--jsonl", action="store_true", help="progress, problems and result as JSON lines")
    devices.add_argument("--report", type=Path, metavar="FILE", help="every problem as a line of JSON")
    bundle = verb(verbs, "bundle", _bundle, "take in what a tenant of another eIM owned")
    bundle.add_argument("file", metavar="FILE")
    bundle.add_argument("--dry-run", action="store_true", help="verify and count, change nothing")
    bundle.add_argument(
        "--signed-by", default="", metavar="SHA256", help="the other eIM's certificate, as its export told it"
    )
    bundle.add_argument(
        "--accept-other-keys", action="store_true", help="devices that obey another key, to be handed over"
    )


def _bundle(args: argparse.Namespace, client: Client) -> int:
    file, size = _opened(args.file)
    progress = Progress("octets sent", size)
    with file:
        report = client.import_bundle(
            _pieces(file, progress),
            length=size or None,
            is_rehearsal=args.dry_run,
            accepts_other_keys=args.accept_other_keys,
            signed_by=args.signed_by,
        )
    progress.end()
    show(report, as_json=args.json)
    return ExitCode.PARTLY_FAILED if report.failed else ExitCode.OK


def _devices(args: argparse.Namespace, client: Client) -> int:
    form = args.format or ("jsonl" if args.file.endswith((".jsonl", ".ndjson", ".json")) else "csv")
    file, size = _opened(args.file)
    progress = Progress("octets sent", size, tell=_progress_line if args.jsonl else None)
    with file:
        report = client.import_devices(
            _pieces(file, progress),
            media_type=MEDIA_TYPES[form],
            length=size or None,
            is_rehearsal=args.dry_run,
            skips_known=args.skip_known,
            accepts_check_digits=args.accept_bad_check_digits,
            tags=args.tag,
        )
    progress.end()
    if args.report is not None:
        _write(args.report, report)
    if args.jsonl:
        for problem in report.problems:
            print(json.dumps({"type": "error", **document_of(problem)}, ensure_ascii=False))
        print(json.dumps({"type": "result", **document_of(report), "problems": len(report.problems)}))
    elif args.json:
        print_json(document_of(report))
    else:
        _tell(report, args)
    if report.failed:
        return ExitCode.PARTLY_FAILED if report.enrolled else ExitCode.USAGE
    return ExitCode.OK


def _progress_line(done: int, total: int) -> None:
    print(json.dumps({"type": "progress", "octets": done, "of": total or None}), flush=True)


def _opened(name: str) -> tuple[BinaryIO, int]:
    if name == "-":
        return sys.stdin.buffer, 0
    try:
        path = Path(name)
        return path.open("rb"), path.stat().st_size
    except OSError as fault:
        raise Refused(f"{name}: {fault.strerror}", code="client.file_not_found") from None


def _pieces(file: BinaryIO, progress: Progress) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
        progress.advance(len(piece))


def _write(path: Path, report: ImportReport) -> None:
    lines = (json.dumps(document_of(problem), ensure_ascii=False) for problem in report.problems)
    try:
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except OSError as fault:
        raise Refused(f"{path}: {fault.strerror}", code="client.bad_input") from None


def _tell(report: ImportReport, args: Any) -> None:
    for problem in report.problems[:SHOWN]:
        note(f"line {problem.line}: {problem.code}: {problem.message}")
    if report.failed > SHOWN:
        note(f"... and {report.failed - SHOWN} more: --report FILE has them")
    verb_ = "would be registered" if args.dry_run else "registered"
    print(f"{report.enrolled} {verb_}, {report.known} known already, {report.failed} refused")
