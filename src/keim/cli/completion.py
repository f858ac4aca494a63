"""`keim completion SHELL`: a script that asks `keim` itself for the words, so that it never grows old."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from keim.cli.exit_codes import ExitCode
from keim.cli.parser import Nouns, Parser, build_parser, chosen_noun
from keim.cli.registry import NOUNS

SCRIPTS: Final = {
    "bash": """\
_keim() {
    local IFS=$'\\n'
    COMPREPLY=($(keim completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _keim keim
""",
    "zsh": """\
#compdef keim
_keim() {
    local -a words_of_keim
    words_of_keim=("${(@f)$(keim completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${words_of_keim[*]}" ]]; then compadd -a words_of_keim; else _files; fi
}
compdef _keim keim
""",
    "fish": """\
function __keim_words
    set -l typed (commandline -opc) (commandline -ct)
    keim completion words -- $typed[2..-1] 2>/dev/null
end
complete -c keim -a '(__keim_words)'
""",
}


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "completion",
        help="print the completion script of a shell",
        description='For bash: eval "$(keim completion bash)". For the others see docs/how-to/completion.md.',
    )
    parser.add_argument("shell", choices=[*SCRIPTS, "words"], metavar="SHELL", help="bash, zsh or fish")
    parser.add_argument("typed", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.shell == "words":
        print("\n".join(words(args.typed[args.typed[:1] == ["--"] :])))
    else:
        print(SCRIPTS[args.shell], end="")
    return ExitCode.OK


def words(typed: Sequence[str]) -> list[str]:
    """What may stand in the place of the last of the words typed so far (it may be empty)."""
    *before, current = typed or [""]
    noun = chosen_noun(before)
    parser: Parser
    parser, nouns = build_parser(noun)
    if noun is not None:
        if noun not in {known.name for known in NOUNS}:
            return []
        parser = nouns.choices[noun]
        for word in before[before.index(noun) + 1 :]:
            verbs = _verbs(parser)
            if verbs is not None and word in verbs:
                parser = verbs[word]
    return sorted(word for word in _candidates(parser, current) if word.startswith(current))


def _candidates(parser: Parser, current: str) -> list[str]:
    if current.startswith("-"):
        return [option for action in parser._actions for option in action.option_strings]
    return [str(choice) for action in parser._actions for choice in action.choices or () if choice != "words"]


def _verbs(parser: Parser) -> dict[str, Parser] | None:
    # argparse has no public way to ask for a parser's arguments; `_actions` has been stable since Python 3.2.
    return next((dict(a.choices) for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
