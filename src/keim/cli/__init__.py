"""The command `keim`: nouns and verbs for people, on top of everything else.

This file stays almost empty, as does the way to `keim --version`: each noun is one module beside it, named in
`registry`, and imported only when somebody uses it.
"""

from __future__ import annotations

import os
import sys

from keim import __version__


def main() -> int:
    """The entry point of the installed command."""
    try:
        try:
            return _run(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough (`keim ... | head`): no fault, and nothing left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        print(f"keim {__version__}")
        return 0
    from keim.cli.program import run_command

    return run_command(arguments)
