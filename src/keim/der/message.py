"""The two classes that messages are made of: `Sequence` and `Choice`.

Values are frozen msgspec Structs with keyword-only constructors (docs/architecture.md tells why). Encoding
and decoding live in `keim.der.compiled`; nothing here knows octets.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any, Self, dataclass_transform

import msgspec

from keim.der.tolerance import STRICT, Tolerance


@dataclass_transform(kw_only_default=True, frozen_default=True)
class MessageMeta(msgspec.StructMeta):
    """Makes every message a frozen, keyword-only, slotted Struct and notes its tag."""

    __keim_tag__: int | None
    __keim_keep__: bool
    __keim_name__: str

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        tag: int | None = None,
        keep: bool = False,
        wire_name: str | None = None,
    ) -> Any:
        cls: MessageMeta = super().__new__(
            mcls, name, bases, namespace, frozen=True, kw_only=True, gc=False, eq=False
        )
        inherited = next((base.__keim_tag__ for base in bases if isinstance(base, MessageMeta)), None)
        cls.__keim_tag__ = inherited if tag is None else tag
        cls.__keim_keep__ = keep
        cls.__keim_name__ = wire_name or name
        return cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Message(msgspec.Struct, metaclass=MessageMeta):
    """What Sequence and Choice share."""

    raw: bytes | None = None
    """The octets as received, of types declared with keep=True; `encode` gives exactly these."""

    if TYPE_CHECKING:  # keim.der.compiled puts its two functions here

        @classmethod
        def decode(cls, data: bytes, tolerances: Set[Tolerance] = STRICT) -> Self:
            """The value of which `data` is the whole encoding; `Malformed` for anything else."""

        def encode(self) -> bytes:
            """The value's DER; for an untouched value with `raw`, the octets as received."""

    def replace(self, **changes: Any) -> Self:
        """A copy with other fields: our own value now, without octets as received and unknown elements."""
        kept = {name: getattr(self, name) for name in self.__struct_fields__ if name not in ("raw", "ext")}
        return type(self)(**{**kept, **changes})

    __replace__ = replace

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._key() == other._key()

    def __ne__(self, other: object) -> bool:
        return not self == other  # the Struct's own would compare identities

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        """All that makes the value; the octets it came in do not."""
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name != "raw")

    def __rich_repr__(self) -> Any:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value not in (None, b"") and name != "raw":
                yield name, value

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({inside})"


class Sequence(Message, tag=0x30):
    """A SEQUENCE: its fields in the order of the wire."""

    ext: bytes = b""
    """Unknown elements at the end, kept as they came."""


class Choice(Message):
    """A CHOICE: one attribute for each alternative, all but one of them None."""

    unknown: bytes | None = None
    """The TLV of an alternative that we do not know (Tolerance.UNKNOWN_ALTERNATIVES)."""

    @property
    def kind(self) -> str:
        """The name of the alternative that is set."""
        for name in self.__struct_fields__:
            if name != "raw" and getattr(self, name) is not None:
                return name
        return "unknown"

    @property
    def value(self) -> Any:
        """The value of the alternative that is set."""
        return getattr(self, self.kind)
