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
