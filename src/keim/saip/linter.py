"""Lint: every rule of the catalogue over one package; text, JSON and SARIF.

Must never import anything above floor 0.
"""

from __future__ import annotations

from typing import Any

from keim.errors import Malformed
from keim.saip.installation import installation_findings
from keim.saip.package import WRITER, Package
from keim.saip.platform import ANY_CARD, Platform
from keim.saip.refusals import BrokenPackage, Finding, Severity
from keim.saip.rules.catalogue import RULES
from keim.saip.rules.contents import (
    budget_findings,
    file_findings,
    key_findings,
    service_findings,
    switch_findings,
    version_findings,
)
from keim.saip.rules.finding import finding
from keim.saip.rules.structure import structural_findings

DEFAULT_BUDGET = 600
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
_FATAL = frozenset({"ORD-HEADER", "ORD-END", "DER"})


def lint(
    package: Package | bytes, *, budget: int = DEFAULT_BUDGET, platform: Platform = ANY_CARD
) -> tuple[Finding, ...]:
    """All findings, errors first. Octets that cannot be read give one finding of the rule DER or TRAILING."""
    found: list[Finding] = []
    if isinstance(package, bytes):
        try:
            data, package = package, Package.decode(package)
        except BrokenPackage as broken:
            return (_broken(broken),)
        found += _strictness(data)
    if not package.elements:
        return (finding("ORD-HEADER", None, "there is no element at all"),)
    found += structural_findings(package, platform)
    if not any(f.rule in _FATAL for f in found):
        installing, fs = installation_findings(package, platform)
        known = {(f.rule, f.index) for f in found}
        found += [f for f in installing if (f.rule, f.index) not in known]
        found += version_findings(package)
        found += switch_findings(package)
        found += service_findings(package)
        if fs is not None:
            found += file_findings(package, fs)
        found += key_findings(package)
        found += budget_findings(package, budget)
    return tuple(sorted(found, key=lambda f: (_RANK[f.severity], f.index if f.index is not None else -1)))


def has_errors(findings: tuple[Finding, ...]) -> bool:
    return any(f.severity is Severity.ERROR for f in findings)


def _broken(broken: BrokenPackage) -> Finding:
    from keim.saip.elements import NAMES

    return Finding(
        rule=broken.rule,
        severity=Severity.ERROR,
        message=broken.message,
        index=broken.index,
        element=NAMES.get(broken.tag, "unknown") if broken.tag is not None else "",
        tag=broken.tag,
        offset=broken.offset,
        path=broken.path,
        status=RULES[broken.rule].status,
    )


def _strictness(data: bytes) -> list[Finding]:
    """DER deviations that a reader accepts: the package installs, and no writer should produce it."""
    try:
        Package.decode(data, WRITER)
    except BrokenPackage as broken:
        return [_broken(broken)]
    except Malformed as fault:
        return [finding("DER", None, fault.message, offset=fault.offset)]
    return []


def finding_document(f: Finding) -> dict[str, Any]:
    """One finding for JSON; absent facts are left out."""
    document: dict[str, Any] = {
        "rule": f.rule,
        "severity": f.severity.value,
        "message": f.message,
        "index": f.index,
        "element": f.element or None,
        "tag": f"{f.tag:X}" if f.tag is not None else None,
        "offset": f.offset,
        "path": f.path or None,
        "status": f.status.name.lower() if f.status is not None else None,
        "sentence": RULES[f.rule].sentence,
        "clause": RULES[f.rule].clause,
        "fix": RULES[f.rule].fix,
    }
    return {name: value for name, value in document.items() if value is not None}


_SARIF_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def sarif(results: dict[str, tuple[Finding, ...]], version: str) -> dict[str, Any]:
    """SARIF 2.1.0 of one or more files, for code scanning services."""
    ids = list(RULES)
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "keim profile lint", "version": version, "rules": _sarif_rules()}
                },
                "results": [
                    _sarif_result(uri, f, ids.index(f.rule)) for uri, found in results.items() for f in found
                ],
            }
        ],
    }


def _sarif_rules() -> list[dict[str, Any]]:
    return [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.sentence},
            "help": {"text": f"{rule.fix} ({rule.clause})"},
            "defaultConfiguration": {"level": _SARIF_LEVEL[rule.severity]},
        }
        for rule in RULES.values()
    ]


def _sarif_result(uri: str, f: Finding, number: int) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri}}}
    if f.offset is not None:
        location["physicalLocation"]["region"] = {"byteOffset": f.offset, "byteLength": 1}
    if f.element:
        location["logicalLocations"] = [
            {"name": f"{f.element}[{f.index}]", "fullyQualifiedName": f.path or f.element}
        ]
    return {
        "ruleId": f.rule,
        "ruleIndex": number,
        "level": _SARIF_LEVEL[f.severity],
        "message": {"text": f.message},
        "locations": [location],
    }
