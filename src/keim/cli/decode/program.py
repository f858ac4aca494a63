"""What `keim decode` does, from the arguments to the exit code."""

from __future__ import annotations

import argparse
from typing import Any

from keim.cli.decode import apdus, intake, tree
from keim.cli.exit_codes import ExitCode, exit_code_of
from keim.cli.output import note, print_json
from keim.cli.parser import meant, near_names
from keim.cli.trouble import problem_of, report
from keim.der import source_of
from keim.errors import Malformed, Refused
from keim.messages.roots import all_types


def run(args: argparse.Namespace) -> int:
    if args.types:
        names = sorted(all_types())
        print_json(names) if args.json else print("\n".join(names))
        return ExitCode.OK
    if args.source is not None:
        kind = named_type(args.source)
        if not hasattr(kind, "__keim_tag__"):
            raise Refused(
                f"{args.source} is a plain value without functions of its own", code="codec.unknown_type"
            )
        print(source_of(kind))
        return ExitCode.OK
    kinds = None if args.type is None else [named_type(args.type)]
    given = intake.read_input(args.input)
    form = intake.form_of(given) if args.form == "auto" and kinds is None else args.form
    if form == "log":
        documents = apdus.log(given.text, is_tolerant=not args.strict)
    elif form in ("apdu", "response"):
        documents = [apdus.one(intake.octets_of(given), form, is_tolerant=not args.strict)]
    else:
        documents = tree.objects(intake.octets_of(given), kinds, is_tolerant=not args.strict)
    return _show(documents, as_json=args.json)


def named_type(name: str) -> Any:
    types = all_types()
    exact = {known.lower(): known for known in types}.get(name.lower())
    if exact is None:
        near = near_names(name, types)
        raise Refused(
            f"no message type is called {name}" + (f"\n{meant(near)}" if near else ""),
            code="codec.unknown_type",
        )
    return types[exact]


def _show(documents: list[dict[str, Any]], *, as_json: bool) -> int:
    faults: list[Malformed] = [fault for document in documents for fault in document.pop("faults", ())]
    if as_json:
        for document in documents:
            document.pop("lines", None)
        printed: dict[str, Any] = {"objects": documents}
        if faults:
            printed["errors"] = [problem_of(fault) for fault in faults]
        print_json(printed)
    else:
        for number, document in enumerate(documents):
            print(("\n" if number else "") + "\n".join(document["lines"]))
        for fault in faults:
            report(fault, as_json=False)
    if not documents:
        note("keim decode: nothing to decode")
        return ExitCode.USAGE
    return exit_code_of(faults[0]) if faults else ExitCode.OK
