"""`keim profile show`: elements with what each costs, files with their decoded contents."""

from __future__ import annotations

import argparse
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, note, print_json
from keim.cli.profile import add_json
from keim.cli.profile.files import read_bytes

_SHOWN = 32


def register(verbs: Any) -> None:
    parser = verbs.add_parser("show", help="show a package: elements, sizes, files", description=__doc__)
    parser.add_argument("package", metavar="PACKAGE", help="a .der file, - for stdin")
    parser.add_argument("--elements", action="store_true", help="elements only")
    parser.add_argument("--fields", action="store_true", help="what each field of an element costs")
    parser.add_argument("--show-secrets", action="store_true", help="keys and PINs in clear")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.saip.installation import instantiate
    from keim.saip.package import Package
    from keim.saip.platform import ANY_CARD
    from keim.saip.refusals import PackageRefused
    from keim.saip.show import package_document

    package = Package.decode(read_bytes(args.package))
    fs, refusal = None, None
    if not args.elements:
        try:
            fs = instantiate(package, ANY_CARD)
        except PackageRefused as refused:
            refusal = refused
    document = package_document(package, fs, show_secrets=args.show_secrets)
    if args.json:
        print_json(document | ({"refused": str(refusal)} if refusal is not None else {}))
        return ExitCode.OK
    _print_elements(document, show_fields=args.fields)
    if fs is not None:
        print()
        for file in document["files"]:
            print(_file_line(file))
    elif refusal is not None:
        note(f"no card would install this: {refusal}\n  see: keim profile lint {args.package}")
    return ExitCode.OK


def _print_elements(document: dict[str, Any], *, show_fields: bool) -> None:
    size = document["size"]
    print(coloured(f"{document['kind']} profile, version {document['version']}, {size} octets", "bold"))
    for element in document["elements"]:
        share = f"{100 * element['size'] / size:5.1f} %"
        flag = "" if element.get("mandated", True) else " (not mandated)"
        name = f"{element['element']}{flag}"
        head = f"{element['index']:3} {element['tag']:>4} {name:24}"
        print(f"{head} {element['size']:6} {share}  {element['summary']}".rstrip())
        for field in element.get("fields", ()) if show_fields else ():
            off = "  switched off" if field["switched_off"] else ""
            print(f"         {field['tag']:>4} {field['field']:19} {field['size']:6}{off}")


def _file_line(file: dict[str, Any]) -> str:
    depth = file["path"].count("/")
    label = f"{'  ' * depth}{file['path'].rpartition('/')[2]} {file['name']}"
    if "size" not in file:
        aid = f" {file['aid']}" if "aid" in file else ""
        return f"{label}{aid}"
    shape = f"{file['size']}"
    if "record_length" in file:
        shape = f"{file['size'] // file['record_length']}x{file['record_length']}"
    if "link" in file:
        text = f"-> {file['link']}"
    elif "meaning" in file:
        text = file["meaning"]
    else:
        content = file["content"]
        text = content if len(content) <= 2 * _SHOWN else f"{content[: 2 * _SHOWN]}... "
        if content and content == content[:2] * (len(content) // 2) and len(content) > 8:
            text = f"{content[:2]} x {len(content) // 2}"
    source = "" if file["source"] == "package" else f" ({file['source']})"
    return f"{label:36} {file['kind']:12} {shape:>8}  {text}{source}"
