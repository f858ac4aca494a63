"""The pages at the root and in docs/: which commands stand in them, and what each one is expected to say.

A fence says in its first line how its commands are run:

    ```sh                       a script; it must end with 0
    ```console                  commands after `$ `, each with the output that must come
    ```sh serves                each line (of a console: each command) is a server: it is started, must say
                                that it is ready, and runs until the page ends: SIGTERM must end it with 0
    ```sh serves instead        the same, after the servers of earlier blocks were ended
    ```sh serves until Ctrl-C   the same, and SIGINT ends it at the end of the block
    ```bash, ```zsh, ```fish    a script for that shell
    ```sh no-run: needs systemd what no test can give; the words are counted in tests/e2e/test_docs.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.shared import ROOT

PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
SHELLS = ("sh", "bash", "zsh", "fish")
BLOCK = re.compile(
    rf"^```(?P<language>{'|'.join(SHELLS)}|console)(?P<manner>[^\w\n][^\n]*)?\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
MANNERS = ("", "serves", "serves instead", "serves until Ctrl-C")


@dataclass(frozen=True)
class Step:
    command: str
    output: list[str]
    """The lines that must come; `...` stands for any."""
    code: int


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    manner: str
    body: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def shell(self) -> str:
        return "sh" if self.language == "console" else self.language

    @property
    def serves(self) -> bool:
        return self.manner.startswith("serves")

    @property
    def reason(self) -> str | None:
        """Why it is not run; None when it is."""
        word, _, rest = self.manner.partition(":")
        return rest.strip() if word == "no-run" else None

    @property
    def steps(self) -> list[Step]:
        """A script is one step, the lines of one that serves are one each."""
        if self.language != "console":
            scripts = self.body.splitlines() if self.serves else [self.body]
            return [Step(script, ["..."], 0) for script in scripts]
        steps: list[Step] = []
        for line in self.body.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:], [], 0))
            elif exit_line := re.fullmatch(r"\[exit (\d+)\]", line):
                steps[-1] = Step(steps[-1].command, steps[-1].output, int(exit_line[1]))
            else:
                steps[-1].output.append(line)
        return steps


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start()) + 1,
            match["language"],
            (match["manner"] or "").strip(),
            match["body"],
        )
        for match in BLOCK.finditer(text)
    ]


def matches(pattern: list[str], lines: list[str]) -> bool:
    """`...` alone stands for any lines, inside of a line for any characters."""
    if not pattern:
        return not lines
    if pattern[0] == "...":
        return any(matches(pattern[1:], lines[start:]) for start in range(len(lines) + 1))
    return bool(lines) and _line_matches(pattern[0], lines[0]) and matches(pattern[1:], lines[1:])


def _line_matches(pattern: str, line: str) -> bool:
    escaped = re.sub(r"[\[\]*?]", lambda found: f"[{found[0]}]", pattern.rstrip())
    return fnmatchcase(line.rstrip(), escaped.replace("...", "*").replace("…", "*"))
