"""The list of events in docs/reference/events.md, made from the code: `python -m tests.unit.eim.event_list`.

Names, types and sentences are those of the classes; a test says when the page is old.
"""

from __future__ import annotations

import ast
from types import ModuleType
from typing import Any, Final, get_args

from tests.shared import ROOT

from keim.eim import events, picture

PAGE: Final = ROOT / "docs" / "reference" / "events.md"
BEGIN: Final = "<!-- events: made by `python -m tests.unit.eim.event_list` -->\n"
END: Final = "<!-- end of events -->\n"
_TYPES: Final = {
    "str": "text",
    "int": "number",
    "bool": "true or false",
    "bytes": "octets",
    "datetime": "time",
    "DeviceState": "text",
    "tuple[str, ...]": "texts",
    "tuple[Effect, ...]": "effects",
    "tuple[ProfileImage, ...]": "profiles",
}


_BASES: Final = ("msgspec.Struct", "_Event", "_Effect")


class Member:
    def __init__(self, name: str, annotation: str, sentence: str, default: str | None) -> None:
        self.name = name
        self.type = _TYPES[annotation.removesuffix(" | None")]
        self.sentence = sentence
        self.default = default

    @property
    def line(self) -> str:
        left_out = {None: "", "None": "", "''": "", "b''": "", "()": ""}.get(self.default, self.default)
        absent = f" Absent: `{left_out.lower()}`." if left_out else ""
        need = "yes" if self.default is None else ""
        return f"| `{self.name}` | {self.type} | {need} | {self.sentence}{absent} |"


def members_of(module: ModuleType) -> dict[str, tuple[str, list[Member]]]:
    """By class: its sentence, and its members with the sentence that stands below each."""
    assert module.__file__ is not None
    with open(module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and ast.unparse(node.bases[0]) in _BASES:
            found[node.name] = (" ".join((ast.get_docstring(node) or "").split()), _members(node))
    return found


def _members(node: ast.ClassDef) -> list[Member]:
    members = []
    for number, statement in enumerate(node.body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        following = node.body[number + 1] if number + 1 < len(node.body) else None
        sentence = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            sentence = " ".join(str(following.value.value).split())
        default = None if statement.value is None else ast.unparse(statement.value)
        if default is not None and default.startswith("DeviceState."):
            default = default.removeprefix("DeviceState.")
        name, annotation = statement.target.id, ast.unparse(statement.annotation)
        members.append(Member(name, annotation, sentence, default))
    return members


def kinds(union: Any) -> dict[str, str]:
    """Tag -> class, of each member of a union."""
    return {str(kind.__struct_config__.tag): kind.__name__ for kind in get_args(union)}


def section(union: Any, module: ModuleType) -> str:
    described = members_of(module)
    parts = []
    for tag, name in sorted(kinds(union).items()):
        sentence, members = described[name]
        text = f"### `{tag}`\n\n{sentence}\n"
        if members:
            rows = "\n".join(member.line for member in members)
            text += f"\n| member | type | always | what it says |\n|---|---|---|---|\n{rows}\n"
        parts.append(text)
    return "\n".join(parts)


def event_list() -> str:
    common = "\n".join(member.line for member in members_of(events)["_Event"][1])
    of_effects = "\n".join(member.line for member in members_of(picture)["_Effect"][1])
    head = "| member | type | always | what it says |\n|---|---|---|---|\n"
    return (
        f"## Members of every event\n\n{head}{common}\n\n"
        f"## Events\n\n{section(events.Event, events)}\n"
        f"## Effects\n\nMembers of every effect:\n\n{head}{of_effects}\n\n"
        f"{section(picture.Effect, picture)}"
    )


def page_with_list() -> str:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{event_list()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_list(), "utf-8")
