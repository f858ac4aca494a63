"""The words in which message types are written: one field, one line.

    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]

Imports the floor's own values and tolerances only.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keim.der.tolerance import Tolerance


class Tag(msgspec.Struct, frozen=True):
    """The tag octets on the wire, IMPLICIT: they replace the type's own."""

    octets: int


class Explicit(msgspec.Struct, frozen=True):
    """A tag around one complete TLV of the type."""

    octets: int


class Null(msgspec.Struct, frozen=True):
    """A NULL: presence is True. The field's type is bool with the default False."""

    octets: int = 0x05


class Size(msgspec.Struct, frozen=True):
    """SIZE in octets (bytes) or characters (str); one number means exactly."""

    least: int
    most: int | None = None

    @property
    def highest(self) -> int:
        return self.least if self.most is None else self.most


class Name(msgspec.Struct, frozen=True):
    """The name in the standard, where snake_case cannot be turned back into it."""

    text: str


class Also(msgspec.Struct, frozen=True):
    """Another tag that known peers write for this field, accepted under `tolerance`.

    `when(octets, start, end)` looks at the contents where several alternatives share the tag.
    """

    octets: int
    tolerance: Tolerance = Tolerance.NATURAL_TAGS
    when: Callable[[bytes, int, int], bool] | None = None


class Bare(msgspec.Struct, frozen=True):
    """The alternative's contents may stand without its tag when `when(octets, start, end)` says so."""

    when: Callable[[bytes, int, int], bool]
    tolerance: Tolerance = Tolerance.BARE_CONTENT


class Split(msgspec.Struct, frozen=True):
    """The list may come in several TLVs of its tag."""
