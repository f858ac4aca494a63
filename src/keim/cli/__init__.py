"""The command `keim`: nouns and verbs for people, on top of everything else.

This file stays almost empty, as does the way to `keim --version`: each noun is one module beside it, named in
`registry`, and imported only when somebody uses it.
"""

from __future__ import annotations

import sys

from keim import __version__


def main() -> int:
    """The entry point of the installed command."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        print(f"keim {__version__}")
        return 0
    from keim.cli.program import run_command

    return run_command(sys.argv[1:])
