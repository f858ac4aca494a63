"""Appending as a pure fold, small enough to run inside the transaction that makes an event true.

A store keeps one row with `Edge.octets`, and one row per entry: index, octets, hash. Pure. Imports its
neighbours only.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from keim.audit.leaf import Leaf, octets_of
from keim.audit.tree import Edge, leaf_hash


class Entry(msgspec.Struct, frozen=True):
    index: int
    octets: bytes
    hash: bytes


def append(edge: Edge, leaves: Iterable[Leaf]) -> tuple[Edge, tuple[Entry, ...]]:
    """The edge after these leaves, and what the store writes in the same transaction."""
    entries = []
    for index, leaf in enumerate(leaves, edge.size):
        octets = octets_of(leaf)
        entries.append(Entry(index, octets, leaf_hash(octets)))
    return edge.extend(entry.hash for entry in entries), tuple(entries)
