"""Making findings with the severity and the status of their rule. Imports floor 0's own files only."""

from __future__ import annotations

from keim.saip.package import Element
from keim.saip.refusals import Finding, Severity, Status
from keim.saip.rules.catalogue import RULES


def finding(
    rule: str,
    element: Element | None,
    message: str,
    *,
    severity: Severity | None = None,
    status: Status | None = None,
    additional: int | None = None,
    offset: int | None = None,
    path: str = "",
) -> Finding:
    row = RULES[rule]
    chosen = severity or row.severity
    return Finding(
        rule=rule,
        severity=chosen,
        message=message,
        index=element.index if element is not None else None,
        element=element.name if element is not None else "",
        tag=element.tag if element is not None else None,
        offset=offset if offset is not None else element.offset if element is not None else None,
        path=path,
        status=(status or row.status) if chosen is Severity.ERROR else None,
        additional=additional,
    )
