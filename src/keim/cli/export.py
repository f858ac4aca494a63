"""`keim export`: the factory's file of an eIM, and everything that a tenant owns."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import show, verb
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.cli.progress import Progress
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.transport import Stream


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "export",
        help="the factory's file of an eIM, and what a tenant owns",
        description="What leaves an eIM as files.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    bootstrap = verb(verbs, "bootstrap", _bootstrap, "what a factory stores in the cards of a batch")
    bootstrap.add_argument("--batch", default="", metavar="NAME")
    bootstrap.add_argument(
        "--counter", type=int, default=0, metavar="N", help="where the cards begin to count"
    )
    bootstrap.add_argument("--block", type=int, metavar="OCTETS", help="of one STORE DATA at most")
    bootstrap.add_argument("--script", metavar="FILE", help="APDUs for `keim euicc script`")
    bootstrap.add_argument("--der", metavar="FILE", help="AddInitialEim for `keim ipa provision`")
    devices = verb(verbs, "devices", _devices, "devices as `keim import devices` reads them")
    devices.add_argument("file", metavar="FILE")
    devices.add_argument("--format", choices=("csv", "jsonl"), help="default: by the file's name, else CSV")
    bundle = verb(verbs, "bundle", _bundle, "everything that a tenant owns, signed, as one file")
    bundle.add_argument("file", metavar="FILE")


def _devices(args: argparse.Namespace, client: Client) -> int:
    form = args.format or ("jsonl" if args.file.endswith((".jsonl", ".ndjson")) else "csv")
    return _saved(client.export_devices(form), args, "keim import devices")


def _bundle(args: argparse.Namespace, client: Client) -> int:
    return _saved(client.export_bundle(), args, "keim import bundle")


def _saved(stream: Stream, args: argparse.Namespace, elsewhere: str) -> int:
    target = Path(args.file)
    progress = Progress("octets")
    try:
        with _fresh(target) as file:
            for piece in stream.pieces():
                file.write(piece)
                progress.advance(len(piece))
    finally:
        stream.close()
        progress.end()
    if args.json:
        print_json({"file": str(target), "octets": progress.done})
    else:
        print(target)
        if signer := stream.headers.get("keim-signer"):
            note(f"signed by {signer}")
        note(f"{progress.done} octets; it comes in elsewhere with: {elsewhere} {target}")
    return ExitCode.OK


@contextmanager
def _fresh(path: Path) -> Iterator[BinaryIO]:
    """A file that is whole or not there; one that exists is not written over."""
    if path.exists():
        raise Refused(f"{path} exists already", code="client.bad_input")
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.rename(path)
    except OSError as fault:
        raise Refused(f"{path}: {fault.strerror}", code="client.bad_input") from None
    finally:
        part.unlink(missing_ok=True)


def _bootstrap(args: argparse.Namespace, client: Client) -> int:
    made = client.bootstrap(batch=args.batch, counter=args.counter, block=args.block)
    for name, octets in (
        (args.script, made.script.encode()),
        (args.der, bytes.fromhex(made.add_initial_eim)),
    ):
        if name is not None:
            _write(Path(name), octets)
            note(f"{name}: {len(octets)} octets")
    if args.json or (args.script is None and args.der is None):
        show(made, as_json=args.json)
    note(f"Import the cards of this batch with signer {made.signer} and counter {made.counter}.")
    return ExitCode.OK


def _write(path: Path, octets: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(octets)
    except OSError as fault:
        raise Refused(f"{path}: {fault.strerror}", code="client.bad_input") from None
