"""The list of routes in docs/reference/api.md, made from the OpenAPI: `python -m tests.api.route_list`.

Needs nothing but the package; a test says when the page is old.
"""

from __future__ import annotations

from typing import Any, Final

from tests.shared import ROOT

from keim.api.application import routes

PAGE: Final = ROOT / "docs" / "reference" / "api.md"
BEGIN: Final = "<!-- routes: made by `python -m tests.api.route_list` -->\n"
END: Final = "<!-- end of routes -->\n"


def scope_of(operation: dict[str, Any]) -> str:
    scopes = {scope for wanted in operation.get("security", ()) for one in wanted.values() for scope in one}
    if scopes:
        return ", ".join(f"`{scope}`" for scope in sorted(scopes))
    return "any token" if operation.get("security") else "no token"


def route_list() -> str:
    by_noun: dict[str, list[str]] = {}
    for path, operations in sorted(routes().openapi()["paths"].items()):
        for method, operation in operations.items():
            summary = operation["description"].split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            line = f"| `{method.upper()} {path}` | {scope_of(operation)} | {summary} |"
            by_noun.setdefault(operation["tags"][0], []).append(line)
    parts = []
    for noun, lines in sorted(by_noun.items()):
        parts.append(f"### {noun}\n\n| route | scope | what it does |\n|---|---|---|\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def page_with_list() -> str:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{route_list()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_list(), "utf-8")
