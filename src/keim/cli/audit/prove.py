"""`keim audit prove FILE LEAF`: one leaf with all that it takes to check it, for somebody without the log."""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

from keim.audit.evidence import objects_of
from keim.audit.leaf import Leaf
from keim.audit.proof_file import Proof, prove, verify_proof
from keim.cli.audit.verify import opened
from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.errors import Refused
from keim.io.audit_files import ExportIndex
from keim.io.pem import write_file


def run(args: argparse.Namespace) -> int:
    with opened(args.file) as file:
        proof = _proof(ExportIndex(file), args.leaf)
    report = verify_proof(proof.octets)
    if not report.is_good:
        fault = report.sorted_faults()[0]
        raise Refused(f"leaf {args.leaf}: {fault.text} ({fault.code})", code="audit.not_for_proof")
    path = Path(args.out or f"leaf-{args.leaf}.tlog-proof")
    write_file(path, proof.octets)
    if args.json:
        print_json({"file": str(path), "leaf": args.leaf, "size": report.size, "origin": report.origin})
    else:
        print(path)
        note(f"leaf {args.leaf} of {report.size} of {report.origin}; check it with: keim audit verify {path}")
    return ExitCode.OK


def _proof(log: ExportIndex, index: int) -> Proof:
    octets = log.leaf(index)
    wanted = dict.fromkeys(Leaf.decode(octets).references)
    found: dict[bytes, bytes] = {}
    for member in log.object_members():
        if len(found) == len(wanted):
            break
        for candidate in objects_of(member):
            digest = sha256(candidate).digest()
            if digest in wanted:
                found[digest] = candidate
    objects = [found[digest] for digest in wanted if digest in found]
    return prove(log.read_tile, index, octets, log.note, log.key, objects=objects, roots=log.roots())
