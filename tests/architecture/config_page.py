"""docs/reference/configuration.md, made from the classes: `python -m tests.architecture.config_page`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from tests.shared import ROOT

from keim.app.eim import EimConfig
from keim.app.ipa import IpaConfig
from keim.app.smdp import SmdpConfig
from keim.app.smds import SmdsConfig

PAGE = ROOT / "docs" / "reference" / "configuration.md"
PROGRAMS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    # program -> (prefix of its environment, the shape of its file)
    "keim eim": ("KEIM_EIM", EimConfig),
    "keim ipa": ("KEIM_IPA", IpaConfig),
    "keim smdp": ("KEIM_SMDP", SmdpConfig),
    "keim smds": ("KEIM_SMDS", SmdsConfig),
}
HEAD = """# Reference: configuration

Made from the programs' own declarations: do not edit it. Each program reads one TOML file (`--config`, or the
variable `..._CONFIG`). Every key can also come from the environment: the program's prefix, then the key in
capitals, `__` between a table and its key: `KEIM_EIM_RULES__STRANGERS=quarantine`. The environment wins over
the file, a command's own options over both; a list in it is written as in the file, `["a", "b"]`. An unknown
key is an error that names it. Numbers have bounds: `Seconds`, `Hours`, `Days` and `Octets` are more than 0.
`Count`, `Rate`, `Pause`, `Milliseconds`, `Minutes`, `WholeDays` and `Leeway` may be 0; none is endless.
"""


def page() -> str:
    return "\n".join([HEAD, *(_program(name, *PROGRAMS[name]) for name in PROGRAMS)])


def _program(name: str, prefix: str, shape: type[msgspec.Struct]) -> str:
    lines = [f"## {name}", "", f"Environment: `{prefix}_...`, the file by `{prefix}_CONFIG`.", ""]
    for table, members in _tables("", shape, ()):
        title = f"`[{table}]`" if table else "Top level"
        lines += [f"### {name}: {title}", "", "| key | type | default | what |", "|---|---|---|---|"]
        lines += [f"| `{key}` | {kind} | {default} | {words} |" for key, kind, default, words in members]
        lines.append("")
    return "\n".join(lines)


Member = tuple[str, str, str, str]


def _tables(
    path: str, shape: type[msgspec.Struct], above: tuple[type, ...]
) -> Iterator[tuple[str, list[Member]]]:
    hints, words = get_type_hints(shape), _words(shape)
    members: list[Member] = []
    nested: list[tuple[str, type[msgspec.Struct]]] = []
    for field in msgspec.structs.fields(shape):
        inner, is_keyed = _struct_in(hints[field.name])
        if inner is not None and inner not in above:
            key = f"{path}.{field.name}".strip(".")
            nested.append((f'{key}."NAME"' if is_keyed else key, inner))
            continue
        annotation, default, text = words.get(field.name, ("", "", ""))
        members.append(
            (field.name, _cell(f"`{annotation}`"), _cell(f"`{default}`" if default else "needed"), text)
        )
    yield path, members
    for key, inner in nested:
        yield from _tables(key, inner, (*above, shape))


def _struct_in(hint: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """A table (or None), and whether there is one for each name or entry."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint, False
    origin = get_origin(hint)
    for argument in get_args(hint):
        found, _ = _struct_in(argument)
        if found is not None:
            return found, origin is not UnionType and origin is not None and origin in (dict, tuple)
    return None, False


@cache
def _tree(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text("utf-8"))


def _words(shape: type[msgspec.Struct]) -> dict[str, tuple[str, str, str]]:
    """name -> (annotation, default, the sentence below the field), of the class and its bases."""
    found: dict[str, tuple[str, str, str]] = {}
    for owner in reversed(shape.__mro__):
        if owner is msgspec.Struct or not issubclass(owner, msgspec.Struct):
            continue
        tree = _tree(inspect.getfile(owner))
        body = next(
            n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == owner.__name__
        )
        for statement, following in zip(body, [*body[1:], None], strict=True):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            text = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                text = " ".join(str(following.value.value).split())
            default = "" if statement.value is None else ast.unparse(statement.value)
            found[statement.target.id] = (ast.unparse(statement.annotation), default, _cell(text))
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE.relative_to(ROOT))
