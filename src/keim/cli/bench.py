"""`keim bench NAME`: runs benchmarks/NAME.py of a checkout; an installed keim has no benchmarks."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

import keim
from keim.cli.exit_codes import ExitCode
from keim.cli.output import note
from keim.cli.parser import Nouns, meant, near_names


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "bench",
        help="measure speed (in a checkout)",
        description="Run a benchmark of the checkout, side by side with what it is compared with.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="without it, the benchmarks are listed")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def checkout_root() -> Path | None:
    """The checkout that this package is run from, if it is."""
    root = Path(keim.__file__).resolve().parents[2]
    return (
        root
        if (root / "benchmarks" / "__init__.py").is_file() and (root / "pyproject.toml").is_file()
        else None
    )


def benchmark_names(root: Path) -> list[str]:
    """The modules that have a `run`; the others are what these share."""
    modules = (root / "benchmarks").glob("[a-z]*.py")
    return sorted(path.stem for path in modules if "\ndef run(" in path.read_text("utf-8"))


def run(args: argparse.Namespace) -> int:
    root = checkout_root()
    if root is None:
        note("keim bench: benchmarks are part of a checkout, not of the installed package.")
        note("  next: clone the repository and run ./keim bench there")
        return ExitCode.USAGE
    names = benchmark_names(root)
    if args.name is None:
        print("\n".join(names))
        return ExitCode.OK
    if args.name not in names:
        near = near_names(args.name, names)
        note(f"keim bench: there is no benchmark {args.name!r}" + (f"\n{meant(near)}" if near else ""))
        return ExitCode.NOT_FOUND
    sys.path.insert(0, str(root))
    code: int = import_module(f"benchmarks.{args.name}").run(args.json)
    return code
