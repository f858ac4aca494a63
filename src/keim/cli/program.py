"""One run of the command: find the noun, run it, turn what went wrong into words and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from keim.cli.exit_codes import ExitCode, exit_code_of
from keim.cli.output import note
from keim.cli.parser import build_parser, chosen_noun, meant, near_names
from keim.cli.registry import NOUNS
from keim.errors import KeimError, WorldError


def run_command(arguments: Sequence[str]) -> int:
    """Returns the exit code of the process; argparse may end it with SystemExit."""
    as_json = "--json" in arguments or "--jsonl" in arguments
    try:
        return _run(arguments)
    except BrokenPipeError:
        raise  # our reader went away, which is no error: `main` ends quietly
    except KeyboardInterrupt:
        note("\nkeim: interrupted")
        return ExitCode.INTERRUPTED
    except KeimError as error:
        from keim.cli.trouble import report

        report(error, as_json=as_json)
        return exit_code_of(error)
    except OSError as error:
        from keim.cli.trouble import report, report_fault

        if error.filename is None:
            report_fault(error, as_json=as_json)
        else:  # a folder that must not be entered, a name that is too long: whoever called us can tell why
            report(WorldError(f"{error.filename}: {error.strerror}"), as_json=as_json)
        return ExitCode.FAULT
    except Exception as error:  # the outermost edge: a fault of ours ends with its traceback and exit code 1
        from keim.cli.trouble import report_fault

        report_fault(error, as_json=as_json)
        return ExitCode.FAULT


def _run(arguments: Sequence[str]) -> int:
    noun = chosen_noun(arguments)
    names = [known.name for known in NOUNS]
    if noun is not None and noun not in names:
        near = near_names(noun, names)
        note(
            f"keim: there is no {noun!r} here" + (f"\n{meant(near)}" if near else "") + "\n  see: keim --help"
        )
        return ExitCode.USAGE
    parser, _ = build_parser(noun)
    args = parser.parse_args(arguments)
    if noun is None:
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
    code: int = args.run(args)
    return code
