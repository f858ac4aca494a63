"""What a verification found: faults that name their leaf, remarks, counts, and periods of profiles.

Pure. Imports keim.audit.leaf only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from keim.audit.leaf import time_of

MOST_FINDINGS: Final = 200
TAMPERING: Final = frozenset(
    {
        "audit.leaf_altered",
        "audit.leaves_altered",
        "audit.hash_altered",
        "audit.object_altered",
        "audit.file_damaged",
        "audit.not_consistent",
        "audit.checkpoint_signature",
        "audit.bad_proof",
    }
)
"""Faults of the file itself; they are listed before what follows from them."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the error table, the leaf that it is about, and one sentence."""

    code: str
    text: str
    leaf: int | None = None
    last_leaf: int | None = None
    """The end of a range of leaves that cannot be told apart."""
    offset: int | None = None
    """In the file."""


class Period(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One profile, enabled on one eUICC. An eUICC knows no time, so each end is a span of two moments.

    The switch lies between `earliest` (the package was signed, or the proof before this one) and `proved`
    (the eUICC's signed word was logged). An absent `earliest_from` is before the log began; without a
    `proved_to` the profile was enabled at the last proof of this eUICC.
    """

    eid: str
    iccid: str
    earliest_from: datetime | None
    proved_from: datetime
    from_leaf: int
    enabled_by: str
    earliest_to: datetime | None = None
    proved_to: datetime | None = None
    to_leaf: int | None = None
    ended_by: str | None = None


class Report(msgspec.Struct, kw_only=True):
    """Fills as the file is read; `is_good` at the end is the verdict."""

    origin: str = ""
    log_key: str = ""
    is_log_key_given: bool = False
    """False: the key came out of the file itself."""
    are_roots_given: bool = False
    roots: list[str] = msgspec.field(default_factory=list)
    """SHA-256 of the CI certificates that chains were judged by."""
    size: int = 0
    root: str = ""
    leaves: int = 0
    checkpoints: int = 0
    packages: int = 0
    results: int = 0
    statements: int = 0
    doubtful: int = 0
    signatures: int = 0
    euiccs: int = 0
    first: int | None = None
    last: int | None = None
    is_complete: bool = False
    """The file was read to its end."""
    faults: list[Finding] = msgspec.field(default_factory=list)
    remarks: list[Finding] = msgspec.field(default_factory=list)
    more_faults: int = 0
    more_remarks: int = 0

    def fault(
        self,
        code: str,
        text: str,
        leaf: int | None = None,
        *,
        last_leaf: int | None = None,
        offset: int | None = None,
    ) -> None:
        if len(self.faults) >= MOST_FINDINGS:
            self.more_faults += 1
            return
        finding = Finding(code=code, text=text, leaf=leaf, last_leaf=last_leaf, offset=offset)
        if finding not in self.faults:
            self.faults.append(finding)

    def remark(self, code: str, text: str, leaf: int | None = None) -> None:
        if len(self.remarks) >= MOST_FINDINGS:
            self.more_remarks += 1
            return
        self.remarks.append(Finding(code=code, text=text, leaf=leaf))

    @property
    def is_good(self) -> bool:
        return self.is_complete and not self.faults

    @property
    def altered(self) -> tuple[int, ...]:
        """The leaves that are not what was logged."""
        return tuple(
            sorted(f.leaf for f in self.faults if f.code == "audit.leaf_altered" and f.leaf is not None)
        )

    def sorted_faults(self) -> list[Finding]:
        """The file's own first; the rest may only follow from them."""
        return sorted(self.faults, key=lambda f: (f.code not in TAMPERING, -1 if f.leaf is None else f.leaf))

    @property
    def since(self) -> datetime | None:
        return None if self.first is None else time_of(self.first)

    @property
    def until(self) -> datetime | None:
        return None if self.last is None else time_of(self.last)


TellPeriod = Callable[[Period], None]
