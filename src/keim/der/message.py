"""The two classes that messages are made of: `Sequence` and `Choice`.

Values are frozen msgspec Structs with keyword-only constructors (docs/architecture.md tells why). Encoding
and decoding live in `keim.der.compiled`, which puts its two functions here; this file knows no octets.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

import msgspec

from keim.der.tolerance import STRICT, Tolerance


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, eq=False):
    """What every message can do."""

    raw: bytes | None = None
    """The octets as received, of types declared with keep=True; `encode` gives exactly these."""

    if TYPE_CHECKING:
        __keim_tag__: ClassVar[int | None]
        __keim_keep__: ClassVar[bool]
        __keim_name__: ClassVar[str]
        __keim_alternatives__: ClassVar[tuple[str, ...]]

        def __init_subclass__(cls, tag: int | None = None, keep: bool = False) -> None: ...

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


class SequenceValue(Message, frozen=True, kw_only=True, gc=False, eq=False):
    """A SEQUENCE: its fields in the order of the wire."""

    ext: bytes = b""
    """Unknown elements at the end, kept as they came."""


class ChoiceValue(Message, frozen=True, kw_only=True, gc=False, eq=False):
    """A CHOICE: one attribute for each alternative, all but one of them None."""

    unknown: bytes | None = None
    """The TLV of an alternative that we do not know (Tolerance.UNKNOWN_ALTERNATIVES)."""

    @property
    def kind(self) -> str:
        """The name of the alternative that is set."""
        for name in self.__keim_alternatives__:
            if getattr(self, name) is not None:
                return name
        return "unknown"

    @property
    def value(self) -> Any:
        """The value of the alternative that is set."""
        for name in self.__keim_alternatives__:
            if (found := getattr(self, name)) is not None:
                return found
        return self.unknown


if TYPE_CHECKING:
    Sequence = SequenceValue
    Choice = ChoiceValue
else:

    class _Declaration(type):
        """Makes a Struct class of `class X(Sequence, tag=0xBF51, keep=True)`.

        A metaclass below msgspec's would read better, but CPython 3.11 makes instances of a class whose
        metaclass is written in Python three times as slowly, and messages are made by the million.
        """

        def __new__(mcls, name, bases, namespace, *, of=None, tag=None, keep=False):
            if of is not None:
                declaration = super().__new__(mcls, name, bases, namespace)
                declaration.of, declaration.tag = of, tag
                return declaration
            (parent,) = bases
            made = msgspec.StructMeta(
                name, (parent.of,), namespace, frozen=True, kw_only=True, gc=False, eq=False
            )
            made.__keim_tag__ = parent.tag if tag is None else tag
            made.__keim_keep__ = keep
            made.__keim_name__ = name
            made.__keim_alternatives__ = tuple(
                field for field in made.__struct_fields__ if field not in ("raw", "unknown")
            )
            return made

        def __init__(cls, *arguments, **words):
            super().__init__(*arguments)

        def __instancecheck__(cls, instance):
            return isinstance(instance, cls.of)

        def __subclasscheck__(cls, subclass):
            return issubclass(subclass, cls.of)

    class Sequence(metaclass=_Declaration, of=SequenceValue, tag=0x30):
        """Declares a SEQUENCE; its tag is 30 unless another is given."""

    class Choice(metaclass=_Declaration, of=ChoiceValue):
        """Declares a CHOICE, untagged unless a tag is given."""
