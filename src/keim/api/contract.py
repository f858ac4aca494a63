"""What the published OpenAPI says of each path, as a table that the edge looks requests up in.

So what is published and what is enforced cannot differ: paths, methods, query parameters, media types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

METHODS = ("get", "put", "post", "delete", "patch")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the OpenAPI."""

    method: str
    path: str
    parameters: frozenset[str]
    """Names of query parameters."""
    media_types: frozenset[str]
    """Of the request's body; empty: it takes none."""
    is_public: bool

    @property
    def takes_uploads(self) -> bool:
        return bool(self.media_types - {"application/json"})


class Contract:
    def __init__(self, openapi: dict[str, Any]) -> None:
        self._fixed: dict[str, dict[str, Entry]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Entry]]] = []
        for path, operations in openapi["paths"].items():
            entries = {entry.method: entry for entry in _entries(path, operations)}
            if "{" in path:
                self._patterns.append((_pattern(path), entries))
            else:
                self._fixed[path] = entries

    def at(self, path: str) -> dict[str, Entry] | None:
        """By method; None if nothing is at this path."""
        found = self._fixed.get(path)
        if found is not None:
            return found
        return next((entries for pattern, entries in self._patterns if pattern.fullmatch(path)), None)


def _entries(path: str, operations: dict[str, Any]) -> Iterator[Entry]:
    for method in METHODS:
        if method not in operations:
            continue
        operation = operations[method]
        parameters = operation.get("parameters", ())
        yield Entry(
            method=method.upper(),
            path=path,
            parameters=frozenset(given["name"] for given in parameters if given["in"] == "query"),
            media_types=frozenset(operation.get("requestBody", {}).get("content", ())),
            is_public=not operation.get("security"),
        )


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{[^}]*\}", path)
    return re.compile("[^/]+".join(re.escape(piece) for piece in pieces))
