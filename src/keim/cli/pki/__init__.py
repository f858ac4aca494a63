"""`keim pki`: certificates and chains by role, and a PKI of one's own in a directory.

Each verb is a module beside this one; the parsers are here, so that `--help` imports nothing heavy.
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from typing import Final

from keim.cli.parser import Nouns

CA_ROLES: Final = ("ci", "ci-sub-ca", "eum", "eum-sub-ca", "dp-sub-ca", "ds-sub-ca")
LEAF_ROLES: Final = ("euicc", "dp-auth", "dp-pb", "dp-tls", "ds-auth", "ds-tls", "eim-sign", "eim-tls")
DEFAULT_DIR: Final = "pki"


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "pki",
        help="make, look at and check certificates: a test world in one command",
        description="Certificates by role. Commands work on the PKI in --dir, else $KEIM_PKI, else ./pki.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _init(verbs)
    _issue(verbs)
    _rotate(verbs)
    _crl(verbs)
    _import(verbs)
    _trust(verbs)
    _show(verbs)
    _check(verbs)


def run(args: argparse.Namespace) -> int:
    code: int = import_module(f"keim.cli.pki.{args.verb.replace('import', 'take_over')}").run(args)
    return code


def _verb(verbs: Nouns, name: str, summary: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)
    return parser


def _directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dir",
        default=os.environ.get("KEIM_PKI", DEFAULT_DIR),
        metavar="DIR",
        help="the PKI (default: $KEIM_PKI, else ./pki)",
    )


def _dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")


def _one_curve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--curve", choices=("nist", "brainpool"), help="default: the PKI's first curve")


def _init(verbs: Nouns) -> None:
    parser = _verb(verbs, "init", "make a complete test world: CI, EUM, eUICCs, SM-DP+, SM-DS, eIM")
    parser.add_argument("directory", metavar="DIR", help="a new or empty directory")
    parser.add_argument("--curve", choices=("nist", "brainpool", "both"), default="nist")
    parser.add_argument("--variant", choices=("o", "ov3", "a", "b", "c"), default="o", help="tree of SGP.26")
    parser.add_argument("--eid", action="append", default=[], help="an eUICC with this EID (repeatable)")
    parser.add_argument("--euiccs", type=int, metavar="N", help="how many eUICCs with new EIDs (default 1)")
    parser.add_argument("--ein", action="append", default=[], help="digits that EIDs of the EUM begin with")
    parser.add_argument("--organization", default="keim Test EUM", help="O of the EUM and its eUICCs")
    parser.add_argument(
        "--smdp", default="smdpplus.example.com", metavar="HOST", help="address of the SM-DP+"
    )
    parser.add_argument("--smds", default="smds.example.com", metavar="HOST", help="address of the SM-DS")
    parser.add_argument(
        "--eim", default="eim.example.com", metavar="HOST", help="address (eimFqdn) of the eIM"
    )
    parser.add_argument("--crl-url", default="http://ci.example.com/ci.crl", metavar="URL")
    parser.add_argument("--force", action="store_true", help="move a PKI that is there aside (never deletes)")
    _dry_run(parser)


def _issue(verbs: Nouns) -> None:
    parser = _verb(verbs, "issue", "issue one more certificate for a role")
    parser.add_argument(
        "role", choices=CA_ROLES[1:] + LEAF_ROLES, metavar="ROLE", help="such as dp-tls, euicc"
    )
    _directory(parser)
    _one_curve(parser)
    parser.add_argument(
        "--issuer", metavar="NAME", help="the CA's name (default: the one the role belongs under)"
    )
    parser.add_argument("--name", help="its name in the PKI (default: the role, numbered; an eUICC's EID)")
    parser.add_argument("--cn", help="common name (default: the first --dns, else a name for the role)")
    parser.add_argument("--organization", help="O in the subject, where the role has it")
    parser.add_argument("--eid", help="of an eUICC: 32 digits")
    parser.add_argument("--ein", action="append", default=[], help="of an EUM (repeatable)")
    parser.add_argument("--oid", help="registeredID (default: that of the same party in the PKI)")
    parser.add_argument("--dns", action="append", default=[], metavar="NAME", help="TLS (repeatable)")
    parser.add_argument("--ip", action="append", default=[], metavar="ADDRESS", help="TLS (repeatable)")
    parser.add_argument("--days", type=int, help="validity (default: by the role's profile)")
    parser.add_argument("--v3", action="store_true", help="number the role as SGP.22 v3 does")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--csr", metavar="FILE", help="for the key of this request (PKCS#10)")
    source.add_argument("--public-key", metavar="FILE", help="for this public key")
    parser.add_argument("--out", metavar="BASE", help="write BASE.pem and BASE.key too")
    _dry_run(parser)


def _rotate(verbs: Nouns) -> None:
    parser = _verb(verbs, "rotate", "replace a certificate by a new one of the same contents")
    parser.add_argument("name", metavar="NAME", help="as `keim pki show DIR` lists it: dp-tls, an EID, ...")
    _directory(parser)
    _one_curve(parser)
    parser.add_argument("--keep-key", action="store_true", help="renew for the same key")
    parser.add_argument("--days", type=int, help="validity (default: as before)")
    _dry_run(parser)


def _crl(verbs: Nouns) -> None:
    parser = _verb(verbs, "crl", "make a new revocation list")
    _directory(parser)
    _one_curve(parser)
    parser.add_argument("--issuer", default="ci", metavar="NAME", help="who revokes (default: ci)")
    parser.add_argument(
        "--revoke",
        action="append",
        default=[],
        metavar="NAME|SERIAL",
        help="a name of the PKI or a serial number in hex (repeatable)",
    )
    parser.add_argument("--days", type=int, default=30, help="until the next list (default 30)")
    parser.add_argument("--out", metavar="FILE", help="write the list (DER) here too")
    _dry_run(parser)


def _import(verbs: Nouns) -> None:
    parser = _verb(verbs, "import", "take over a folder of certificates and keys, such as SGP.26's")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--out", metavar="DIR", help="write the PKI here (without it, only a report)")
    parser.add_argument("--at", metavar="TIME", help="judge at this time (RFC 3339; default: now)")
    parser.add_argument("--force", action="store_true", help="move a PKI that is there aside (never deletes)")


def _trust(verbs: Nouns) -> None:
    parser = _verb(verbs, "trust", "believe chains under one more root, such as the GSMA CI")
    parser.add_argument("files", metavar="FILE", nargs="+", help="root certificates, DER or PEM")
    _directory(parser)
    parser.add_argument("--name", help="its name in the PKI (default: trusted, numbered)")
    _dry_run(parser)


def _show(verbs: Nouns) -> None:
    parser = _verb(verbs, "show", "print what is in certificates, CRLs or a PKI")
    parser.add_argument("paths", metavar="FILE|DIR", nargs="+", help="DER or PEM, or the directory of a PKI")
    parser.add_argument("--at", metavar="TIME", help="state of validity at this time (default: now)")


def _check(verbs: Nouns) -> None:
    parser = _verb(verbs, "check", "judge a chain for a role; exit code 4 when it is refused")
    parser.add_argument("chain", metavar="FILE", nargs="+", help="the end certificate first, then the others")
    parser.add_argument("--role", required=True, choices=LEAF_ROLES)
    parser.add_argument("--root", action="append", default=[], metavar="FILE", help="trusted (repeatable)")
    _directory(parser)
    parser.add_argument("--crl", action="append", default=[], metavar="FILE", help="repeatable")
    time = parser.add_mutually_exclusive_group()
    time.add_argument("--at", metavar="TIME", help="RFC 3339 (default: now)")
    time.add_argument("--no-clock", action="store_true", help="judge as an eUICC does, without dates")
    parser.add_argument("--name", metavar="HOST", help="the address that was called")
    parser.add_argument("--oid", help="the registeredID that is expected")
    parser.add_argument("--eid", help="the EID that is expected")
    parser.add_argument("--as-client", action="store_true", help="TLS: used on the client's side")
