"""docs/reference/error-codes.md, made from the table of codes: `python -m tests.architecture.error_page`."""

from __future__ import annotations

from itertools import groupby

from tests.shared import ROOT

from keim.error_table import ErrorRow, error_rows

PAGE = ROOT / "docs" / "reference" / "error-codes.md"
HEAD = """# Reference: error codes

Made from the table that `keim explain CODE`, the API's problems and the exceptions share: do not edit it.
`retry` says whether the same request may succeed later without anybody changing it.
"""


def page() -> str:
    rows = sorted(error_rows().values(), key=lambda row: row.code)
    sections = [_section(topic, list(members)) for topic, members in groupby(rows, key=_topic)]
    return "\n".join([HEAD, *sections])


def _topic(row: ErrorRow) -> str:
    return row.code.partition(".")[0]


def _section(topic: str, rows: list[ErrorRow]) -> str:
    lines = [f"## {topic}", "", "| code | what | must act | next step | retry |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (f"`{row.code}`", row.sentence, row.who, row.next, "yes" if row.retryable else "no")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE.relative_to(ROOT))
