"""Comparing a log as it is read with what was signed: who is wrong, the leaf or the hash beside it?

Two trees grow side by side, one of the leaves, one of the hashes that stand beside them. The next signed
checkpoint decides between them, so that a changed leaf is named and a changed hash is not blamed on its leaf.
Pure. Imports its neighbours only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keim.audit.checkpoint import Checkpoint
from keim.audit.report import Report
from keim.audit.tree import Edge

PATIENCE: Final = 1000
"""Leaves that are named one by one between two checkpoints."""


class Comparison:
    def __init__(self, report: Report, kept: Sequence[Checkpoint]) -> None:
        self.report = report
        self.edge = Edge()
        """Of the leaves as they are read."""
        self._stored: Edge | None = None
        """Of the hashes beside them, from the first difference on."""
        self._good = 0
        """Leaves up to the last checkpoint that agreed."""
        self._is_lost = False
        """A checkpoint disagreed with both: the rest cannot be compared any more."""
        self._suspects: list[int] = []
        self._waiting: list[Checkpoint] = []
        self._kept = sorted(kept, key=lambda point: point.size)

    @property
    def size(self) -> int:
        return self.edge.size

    @property
    def awaited(self) -> int | None:
        """The size of the largest checkpoint that was told and not reached."""
        return self._waiting[-1].size if self._waiting else None

    def expect(self, point: Checkpoint) -> None:
        """A signed checkpoint, in the order of sizes; compared as soon as so many leaves are read."""
        self._waiting.append(point)
        self._settle()

    def extend(self, hashes: Sequence[bytes], stored: Sequence[bytes], differing: Sequence[int]) -> None:
        """One bundle: the hashes of its leaves, those beside them, and where the two differ."""
        first, done = self.edge.size, 0
        last = first + len(stored)
        stops = {point.size - first for point in [*self._waiting, *self._kept] if point.size <= last}
        for stop in [*sorted(stops), len(stored)]:
            suspects = [first + i for i in differing if done <= i < stop]
            if suspects and self._stored is None:
                self._stored = self.edge
            self._suspects += suspects[: PATIENCE - len(self._suspects)]
            self.edge = self.edge.extend(hashes[done:stop])
            if self._stored is not None:
                self._stored = self._stored.extend(stored[done:stop])
            done = stop
            self._settle()

    def finish(self) -> None:
        """No checkpoint is left to decide."""
        self._name_suspects()
        for kept in self._kept:
            self.report.fault(
                "audit.not_consistent",
                f"the checkpoint you kept is of {kept.size} leaves: the end of the log is missing",
            )
        self._kept = []

    def _settle(self) -> None:
        """Compares with the checkpoints of exactly this size."""
        while self._kept and self._kept[0].size == self.edge.size:
            kept = self._kept.pop(0)
            if self.edge.root != kept.root:
                self.report.fault(
                    "audit.not_consistent",
                    f"the log was rewritten: its first {kept.size} leaves are not those of your checkpoint",
                )
        while self._waiting and self._waiting[0].size == self.edge.size:
            point = self._waiting.pop(0)
            if not self._is_lost:
                self._decide(point)

    def _decide(self, point: Checkpoint) -> None:
        if self.edge.root == point.root:
            for index in self._suspects:
                self.report.fault(
                    "audit.hash_altered",
                    f"the hash of leaf {index} is not that of the leaf, which is as logged",
                    index,
                )
            self._suspects = []
        elif self._stored is not None and self._stored.root == point.root:
            self._name_suspects()
            self.edge = self._stored
        else:
            self._name_suspects()
            self._is_lost = True
            self.report.fault(
                "audit.leaves_altered",
                f"the leaves {self._good} to {point.size - 1} do not give the root that the log signed",
                self._good,
                last_leaf=point.size - 1,
            )
        self._stored, self._good = None, point.size

    def _name_suspects(self) -> None:
        for index in self._suspects:
            self.report.fault("audit.leaf_altered", f"leaf {index} is not what was logged", index)
        self._suspects = []
