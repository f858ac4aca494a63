"""The catalogue of rules, read from catalogue.toml: id, sentence, origin, severity, fix, and a card's
status.

Severity is what lint shows; a rule with a status is one that an installing eUICC checks. Imports
refusals only.
"""

from __future__ import annotations

import tomllib
from importlib import resources

import msgspec

from keim.saip.refusals import Severity, Status


class Rule(msgspec.Struct, frozen=True):
    id: str
    sentence: str
    clause: str
    severity: Severity
    fix: str
    status: Status | None = None


def _rules() -> dict[str, Rule]:
    text = (resources.files(__package__) / "catalogue.toml").read_text(encoding="utf-8")
    return {
        name: Rule(
            id=name,
            sentence=row["sentence"],
            clause=row["clause"],
            severity=Severity(row["severity"]),
            fix=row["fix"],
            status=Status[row["status"].upper()] if "status" in row else None,
        )
        for name, row in tomllib.loads(text).items()
    }


RULES: dict[str, Rule] = _rules()


def reference_page() -> str:
    """The page docs/reference/profile-lint.md, made from the table."""
    lines = [
        "# Rules of `keim profile lint`",
        "",
        "Severity is what lint shows. A rule with a status is one that an installing eUICC checks: it",
        "answers that PEStatus and, if the element is mandated, ends the installation.",
        "",
        "| rule | sentence | severity | status of the eUICC | origin | fix |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES.values():
        status = f"{rule.status.name.lower()} ({rule.status.value})" if rule.status is not None else ""
        cells = (f"`{rule.id}`", rule.sentence, rule.severity.value, status, rule.clause, rule.fix)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "This page is made from `src/keim/saip/rules/catalogue.toml`; a test keeps the two together.",
        "",
    ]
    return "\n".join(lines)
