"""`keim audit`: check, look at and prove what an eIM's audit log says, without the eIM.

Each verb is a module beside this one; the parsers are here, so that `--help` imports nothing heavy.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "audit",
        help="check, look at and prove what an audit log says, without the eIM",
        description="An eIM's audit log: every event a leaf of a Merkle tree, with its signed objects.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _verify(verbs)
    _show(verbs)
    _prove(verbs)
    _export(verbs)
    _keygen(verbs)


def run(args: argparse.Namespace) -> int:
    code: int = import_module(f"keim.cli.audit.{args.verb}").run(args)
    return code


def _verb(verbs: Nouns, name: str, summary: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)
    return parser


def _verify(verbs: Nouns) -> None:
    parser = _verb(verbs, "verify", "check an export or a proof to its last octet; exit code 4 for a fault")
    parser.add_argument("file", metavar="FILE", help="an export, a proof, or - for stdin")
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="FILE",
        help="the CI that you trust (repeatable); without it, those in the file, and the verdict says so",
    )
    parser.add_argument("--crl", action="append", default=[], metavar="FILE", help="repeatable")
    parser.add_argument(
        "--log-key", metavar="KEY", help="the log's public key or a file with it; without it, the file's own"
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="FILE",
        help="one that you kept: the log must still begin with it (repeatable; needs --log-key)",
    )
    parser.add_argument("--eid", help="tell the profiles of this eUICC only")
    parser.add_argument("--jsonl", action="store_true", help="one JSON line per period, then the verdict")


def _show(verbs: Nouns) -> None:
    parser = _verb(verbs, "show", "print leaves, one line each, or one in full; nothing is checked")
    parser.add_argument("file", metavar="FILE", help="an export")
    parser.add_argument("leaf", nargs="?", type=int, metavar="LEAF", help="this one in full")
    parser.add_argument("--eid", help="only leaves about this eUICC")
    parser.add_argument("--kind", help="only leaves of this kind")


def _prove(verbs: Nouns) -> None:
    parser = _verb(verbs, "prove", "write the proof of one leaf as a file that verifies alone")
    parser.add_argument("file", metavar="FILE", help="an export")
    parser.add_argument("leaf", type=int, metavar="LEAF", help="its number, from 0")
    parser.add_argument("--out", metavar="FILE", help="default: leaf-<LEAF>.tlog-proof")


def _export(verbs: Nouns) -> None:
    parser = _verb(verbs, "export", "write an eIM's log, running or not, as one file that verifies alone")
    parser.add_argument(
        "log",
        nargs="?",
        metavar="DIR",
        help="a published log (checkpoint, tile/, objects/) instead of an eIM's",
    )
    parser.add_argument("file", metavar="FILE", help="what is written; must not exist")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the eIM's TOML (or KEIM_EIM_CONFIG)")
    parser.add_argument("--pki", metavar="DIR", help="its PKI directory, where the log's key is")
    parser.add_argument("--store", metavar="FILE|URL", help="its SQLite file or postgresql:// address")
    parser.add_argument("--eim-id", metavar="ID", help="its name (default: the certificate's)")
    parser.add_argument("--tenant", metavar="NAME", help="whose log (default: main, or the token's)")
    parser.add_argument("--api", metavar="URL", help="over the operators' API instead")
    parser.add_argument("--token", metavar="TOKEN", help="with --api (or KEIM_API_TOKEN, or keim login)")
    parser.add_argument("--ca", metavar="FILE", help="with --api: authority of the server's certificate")
    parser.add_argument(
        "--root", action="append", default=[], metavar="FILE", help="CI certificates to add (repeatable)"
    )


def _keygen(verbs: Nouns) -> None:
    parser = _verb(verbs, "keygen", "make the key that signs a log's checkpoints")
    parser.add_argument("name", metavar="NAME", help="the log's name, such as eim.example.com/audit")
    parser.add_argument("file", metavar="FILE", help="the private key; it is never replaced")
