"""`keim audit verify FILE`: the verdict, its reasons, and which profile was enabled where and when."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from keim.audit.archive import Read
from keim.audit.checkpoint import Checkpoint
from keim.audit.note import NoteKey
from keim.audit.proof_file import LONGEST_FILE, is_proof, verify_proof
from keim.audit.report import Finding, Period, Report
from keim.audit.verification import Options, verify_export
from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, note, print_json
from keim.errors import Refused, StoreFailed
from keim.ids import Eid
from keim.io.audit_memory import SpillingMemory
from keim.io.pem import read_certificates, read_crls, read_octets
from keim.pki import Revocations, TrustStore


def run(args: argparse.Namespace) -> int:
    eid = None if args.eid is None else Eid(args.eid)
    periods: list[Period] = []

    def tell(period: Period) -> None:
        if eid is not None and period.eid != eid:
            return
        if args.jsonl:
            print(json.dumps({"type": "progress", "period": plain(period)}))
        elif args.json:
            periods.append(period)
        else:
            print(period_line(period))

    report = _verified(args, options_of(args, tell_period=tell))
    if args.json:
        print_json(document_of(report) | {"periods": [plain(period) for period in periods]})
    elif args.jsonl:
        print(json.dumps({"type": "result", **document_of(report)}))
    else:
        _print(report)
    return ExitCode.OK if report.is_good else ExitCode.REFUSED_BY_PEER


def options_of(args: argparse.Namespace, **more: object) -> Options:
    log_key = None if args.log_key is None else _log_key(args.log_key)
    if args.checkpoint and log_key is None:
        raise Refused("--checkpoint needs --log-key: who signed it must be known", code="audit.bad_log_key")
    kept = tuple(
        Checkpoint.opened(read_octets(Path(path)), log_key) for path in args.checkpoint if log_key is not None
    )
    roots = [root for path in args.root for root in read_certificates(Path(path))]
    crls = [crl for path in args.crl for crl in read_crls(Path(path))]
    return msgspec.structs.replace(
        Options(log_key=log_key, kept=kept, revocations=Revocations(crls)),
        roots=TrustStore(roots) if roots else None,
        **more,
    )


def _log_key(given: str) -> NoteKey:
    path = Path(given)
    if path.is_file():
        return NoteKey.from_text(read_octets(path).decode("utf-8", "replace"))
    return NoteKey.from_text(given)


def _verified(args: argparse.Namespace, options: Options) -> Report:
    with opened(args.file) as file, SpillingMemory() as memory:
        beginning = file.read(64)
        if is_proof(beginning):
            return verify_proof(beginning + file.read(LONGEST_FILE), options)
        return verify_export(_reader(beginning, file), options, memory)


def _reader(beginning: bytes, file: BinaryIO) -> Read:
    """A pipe cannot be wound back, so what was looked at is given again."""
    rest = bytearray(beginning)

    def read(count: int) -> bytes:
        if not rest:
            return file.read(count)
        taken = bytes(rest[:count])
        del rest[:count]
        return taken + file.read(count - len(taken)) if len(taken) < count else taken

    return read


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below, after its errors have been told apart
    except FileNotFoundError:
        raise Refused(f"{name} does not exist", code="audit.file_not_found") from None
    except OSError as error:
        raise StoreFailed(f"{name}: {error.strerror}", code="audit.log_unreadable") from None
    with file:
        yield file


def plain(value: Period | Finding) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(value)
    return found


def document_of(report: Report) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(report)
    found["faults"] = [plain(fault) for fault in report.sorted_faults()]
    found["first"] = None if report.since is None else report.since.isoformat()
    found["last"] = None if report.until is None else report.until.isoformat()
    return {"verdict": "pass" if report.is_good else "fail", "altered": list(report.altered), **found}


def period_line(period: Period) -> str:
    end = f"to {_span(period.earliest_to, period.proved_to)} ({period.ended_by})"
    if period.proved_to is None:
        end = "still, by its last proof"
    return (
        f"eUICC {period.eid}  profile {period.iccid}  enabled "
        f"from {_span(period.earliest_from, period.proved_from)} ({period.enabled_by})  {end}"
    )


def _span(earliest: datetime | None, proved: datetime | None) -> str:
    """Both moments between which the switch lies."""
    first = "?" if earliest is None else _moment(earliest)
    return f"{first}..{'?' if proved is None else _moment(proved)}"


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(report: Report) -> None:
    for fault in report.sorted_faults():
        where = "" if fault.leaf is None else f"leaf {fault.leaf}: "
        print(f"{coloured('fault', 'red')} {fault.code}  {where}{fault.text}")
    if report.more_faults:
        print(f"{coloured('fault', 'red')} and {report.more_faults} more")
    for remark in report.remarks[:20]:
        where = "" if remark.leaf is None else f"leaf {remark.leaf}: "
        note(f"remark {remark.code}  {where}{remark.text}")
    if len(report.remarks) > 20:
        note(f"remark and {len(report.remarks) - 20 + report.more_remarks} more (--json lists them)")
    if not report.are_roots_given:
        roots = ", ".join(report.roots) or "none"
        print(f"{coloured('trust', 'yellow')} the CI certificates come from the file itself: {roots}")
        print("  this proves nothing against one who forged the whole file; give yours with --root")
    if not report.is_log_key_given:
        print(f"{coloured('trust', 'yellow')} the log's key comes from the file itself: {report.log_key}")
        print("  compare it with the one that the operator published, or give that one with --log-key")
    word = coloured("PASS", "green") if report.is_good else coloured("FAIL", "red")
    print(
        f"{word} {report.origin or 'unknown log'}: {report.leaves} of {report.size} leaves, "
        f"{report.checkpoints} checkpoints, {report.signatures} signatures on {report.packages} packages, "
        f"{report.results} results and {report.statements} notifications of {report.euiccs} eUICCs"
    )
    if report.altered:
        print(f"altered leaves: {', '.join(map(str, report.altered))}")
    if report.faults:
        note(f"  more: keim explain {report.sorted_faults()[0].code}")
