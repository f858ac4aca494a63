"""Generated source text that knows which field each of its lines serves.

A fault inside a generated function is located by walking its traceback through `SOURCES`: no cost while all
is well, and the text can be printed (`keim decode --source TYPE`) and stepped through. Imports no keim.
"""

from __future__ import annotations

import linecache
from types import TracebackType
from typing import Any

SOURCES: dict[str, Source] = {}


class Source:
    """One generated function, line by line; `items` names the variable that gathers a list's elements."""

    def __init__(self, filename: str, type_name: str) -> None:
        self.filename = filename
        self.type_name = type_name
        self.lines: list[str] = []
        self.fields: list[str | None] = []
        self.items: dict[str, str] = {}
        self.field: str | None = None
        self.depth = 0

    def add(self, *lines: str) -> None:
        for line in lines:
            self.lines.append("    " * self.depth + line)
            self.fields.append(self.field)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def install(self, namespace: dict[str, Any]) -> None:
        """Compile into `namespace`, and let tracebacks and debuggers find the text."""
        text = self.text
        linecache.cache[self.filename] = (len(text), None, text.splitlines(keepends=True), self.filename)
        SOURCES[self.filename] = self
        exec(compile(text, self.filename, "exec"), namespace)


def path_of(traceback: TracebackType | None) -> tuple[str, dict[str, Any]]:
    """The path of fields that a fault's traceback leads through, and the innermost function's variables."""
    names: list[str] = []
    variables: dict[str, Any] = {}
    while traceback is not None:
        frame = traceback.tb_frame
        source = SOURCES.get(frame.f_code.co_filename)
        if source is not None:
            if not names:
                names.append(source.type_name)
            field = source.fields[traceback.tb_lineno - 1]
            variables = frame.f_locals
            if field is not None:
                items = variables.get(source.items.get(field, ""))
                names.append(field if items is None else f"{field[:-2]}[{len(items)}]")
        traceback = traceback.tb_next
    return ".".join(names), variables
