"""`keim profile new`: a package from ten lines, or one for each row of a table."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.profile.files import read_bytes, read_text, write_output, write_secret
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.saip.batch import Made
    from keim.saip.refusals import BadRecipe

_KEYS = """\
keys of profile.toml (keys are hexadecimal, identities decimal, all in quotes):
  iccid, imsi, name       18 digits of ICCID get their check digit
  algorithm               "milenage" or "tuak"
  ki                      16 octets; 32 for TUAK-256
  opc | op | topc         op is turned into OPc (or TOPc) here and not stored
  smsp, msisdn            service centre and own number, with + in front
  pin, puk, adm           digits; adm 8 octets
  apn                     names, comma separated or a list
  mcc_mnc_length          5 or 6, digits of country and network in the IMSI
  kic, kid, dek           keys of the security domain: without them no change over the air
a table (--csv) has some of these keys as its first line; what a row does not say comes from --from.
"""


def register(verbs: Any) -> None:
    parser = verbs.add_parser(
        "new",
        help="make a package from a few lines, or many from a table",
        description="Make a profile package.",
        epilog=_KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="recipe", metavar="profile.toml", help="the keys below")
    source.add_argument("--template", metavar="PACKAGE", help="a package whose copies the table changes")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="with --csv: the folder")
    parser.add_argument("--shape", choices=("iot-minimal", "full"), default="iot-minimal")
    parser.add_argument(
        "--smallest",
        action="store_true",
        help="iot-minimal without anything that authentication does not need: 148 octets",
    )
    parser.add_argument("--csv", metavar="TABLE", help="one package for each row, named by its ICCID")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--jsonl", action="store_true", help="with --csv: one JSON document a line, as it goes")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.csv is not None:
        return _run_table(args)
    if args.template is not None:
        raise Refused("--template needs --csv; to change one package use `keim profile edit`")
    from keim.saip.build import new
    from keim.saip.recipe import recipe_from_toml

    recipe = recipe_from_toml(read_text(args.recipe))
    package = new(recipe, args.shape, is_smallest=args.smallest)
    write_output(args.output, package.encode())
    costs = [{"element": element.name, "size": len(element.raw)} for element in package.elements]
    if args.json:
        print_json(
            {"file": args.output, "size": package.size, "iccid": package.iccid, "elements": costs},
            sys.stderr if args.output == "-" else None,
        )
    else:
        note(f"{args.output}: {package.size} octets, ICCID {package.iccid}, {len(package)} elements")
    return ExitCode.OK


def _run_table(args: argparse.Namespace) -> int:
    from keim.saip.batch import Made

    folder = Path(args.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise Refused(f"{folder}: {fault.strerror}", code="saip.unwritable_file") from None
    progress = _Progress(as_lines=args.jsonl)
    failures: list[dict[str, Any]] = []
    made = 0
    with _table(args.csv) as stream:
        for result in _results(args, csv.DictReader(stream, strict=True)):
            if isinstance(result, Made):
                file = folder / f"{result.iccid}.der"
                write_secret(file, result.package)
                made += 1
                progress.result(result.row, result.iccid, str(file), len(result.package))
            else:
                failures.append({"row": result.row, "key": result.key, "message": result.message})
                progress.failure(result.row, str(result))
            progress.tick(made, len(failures))
    progress.end(made, len(failures), str(folder))
    if args.json:
        print_json({"folder": str(folder), "made": made, "failed": failures})
    if failures:
        return ExitCode.PARTLY_FAILED if made else ExitCode.USAGE
    return ExitCode.OK


def _table(name: str) -> Any:
    if name == "-":
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
    try:
        return Path(name).open(encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise Refused(f"there is no file {name}", code="saip.file_not_found") from None
    except OSError as fault:
        raise Refused(f"{name} cannot be read: {fault.strerror}", code="saip.unreadable_file") from None


def _results(args: argparse.Namespace, rows: csv.DictReader[str]) -> Iterator[Made | BadRecipe]:
    from keim.saip.batch import check_columns, from_package, from_recipe
    from keim.saip.package import Package
    from keim.saip.recipe import mapping_from_toml

    check_columns(rows.fieldnames or ())
    if args.template is not None:
        return from_package(Package.decode(read_bytes(args.template)), rows)
    template = mapping_from_toml(read_text(args.recipe))
    return from_recipe(template, rows, shape=args.shape, is_smallest=args.smallest)


class _Progress:
    """Count and rate: a line that moves on a terminal, a line each thousand elsewhere."""

    def __init__(self, *, as_lines: bool) -> None:
        self.as_lines = as_lines
        self.began = time.monotonic()
        self.moves = sys.stderr.isatty() and not as_lines

    def _line(self, document: dict[str, Any]) -> None:
        print(json.dumps(document, ensure_ascii=False), flush=True)

    def result(self, row: int, iccid: str, file: str, size: int) -> None:
        if self.as_lines:
            self._line({"type": "result", "row": row, "iccid": iccid, "file": file, "size": size})

    def failure(self, row: int | None, message: str) -> None:
        if self.as_lines:
            self._line({"type": "error", "row": row, "message": message})
        else:
            note(f"{message}")

    def tick(self, made: int, failed: int) -> None:
        done = made + failed
        if self.moves and done % 50 == 0:
            print(f"\r{done} rows, {self._rate(done)}/s", end="", file=sys.stderr, flush=True)
        elif done % 1000 == 0:
            if self.as_lines:
                self._line({"type": "progress", "made": made, "failed": failed})
            else:
                note(f"{done} rows, {self._rate(done)}/s")

    def _rate(self, done: int) -> int:
        return int(done / max(time.monotonic() - self.began, 1e-6))

    def end(self, made: int, failed: int, folder: str) -> None:
        text = f"{made} packages in {folder}" + (f", {failed} rows failed" if failed else "")
        note(("\r" if self.moves else "") + text)
