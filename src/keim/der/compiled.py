"""Decoders and encoders, written and compiled at their first use, one function per type.

Each set of tolerances has its own functions, so that strict decoding pays nothing for tolerance. A function
that is not yet written stands in its namespace as a small stand-in which writes it when called.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, NoReturn, TypeVar

from keim.der.decoder import DecoderWriter
from keim.der.decoder_runtime import runtime
from keim.der.encoder import RUNTIME as ENCODER_RUNTIME
from keim.der.encoder import EncoderWriter
from keim.der.message import Choice, Message
from keim.der.read import read_tlv
from keim.der.schema import Kind, slot_of
from keim.der.source import Source, path_of
from keim.der.tolerance import STRICT, Tolerance
from keim.der.values import BitString
from keim.der.write import tag_octets
from keim.errors import Malformed, Unencodable
from keim.ids import Oid

T = TypeVar("T")
MAX_OCTETS = 16 * 1024 * 1024
"""No object of the standard comes near; larger input is refused before it is looked at."""


class _Functions:
    """One namespace of generated functions, and the names that generated text may use in it."""

    def __init__(self, title: str, namespace: dict[str, Any]) -> None:
        self.title = title
        self.namespace = namespace
        self.namespace |= {"Malformed": Malformed, "BitString": BitString}
        self.names: dict[Any, str] = {}
        self.roots: dict[Any, Any] = {}

    def constant(self, word: str, thing: Any, value: Any) -> str:
        key = (word, type(thing), thing)
        name = self.names.get(key)
        if name is None:
            label = getattr(thing, "__name__", "")
            name = f"{word}_{label}" if label.isidentifier() else f"{word}_{len(self.names)}"
            if name in self.namespace:
                name = f"{name}_{len(self.names)}"
            self.names[key] = name
            self.namespace[name] = value
        return name

    def later(self, word: str, thing: Any, write: Callable[[str], None]) -> str:
        """The name of a function that is written when it is first called."""
        key = (word, type(thing), thing)
        if key not in self.names:
            name = self.constant(word, thing, None)

            def stand_in(*arguments: Any) -> Any:
                write(name)
                return self.namespace[name](*arguments)

            self.namespace[name] = stand_in
        return self.names[key]

    def source(self, word: str, cls: Any) -> Source:
        name = getattr(cls, "__keim_name__", str(cls))
        return Source(f"<keim {self.title} {word} {name} #{len(self.names)}>", name)


class _Decoders(_Functions):
    def __init__(self, tolerances: Set[Tolerance]) -> None:
        words = "+".join(sorted(tolerance.name.lower() for tolerance in tolerances)) or "strict"
        super().__init__(f"decode ({words})", runtime(tolerances))
        self.tolerances = tolerances

    def name(self, word: str, thing: Any) -> str:
        match word:
            case "contents":
                return self.later("contents", thing, lambda name: self._write_contents(name, thing))
            case "choice":
                return self.later("choice", thing, lambda name: self._write_choice(name, thing))
            case "members":
                return self.constant(word, thing, thing._value2member_map_)
            case "unnamed":
                return self.constant(word, thing, thing.unnamed)
            case "oid":
                return self.constant(word, thing, _oid)
        return self.constant(word, thing, thing)

    def _write_contents(self, name: str, cls: Any) -> None:
        source = self.source("contents", cls)
        writer = DecoderWriter(source, self.tolerances, self.name)
        if issubclass(cls, Choice):
            writer.tagged_choice(name, self.name("choice", cls), cls)
        else:
            writer.sequence(name, cls)
        source.install(self.namespace)

    def _write_choice(self, name: str, cls: Any) -> None:
        source = self.source("choice", cls)
        DecoderWriter(source, self.tolerances, self.name).choice(name, cls)
        source.install(self.namespace)

    def root(self, annotation: Any) -> Any:
        slot = slot_of(annotation)
        if slot.kind is Kind.CHOICE and not slot.tag and not slot.explicit and annotation not in self.roots:
            name = self.name("choice", slot.type)
            self._write_choice(name, slot.type)
            self.roots[annotation] = self.namespace[name]
        if annotation not in self.roots:
            name = f"root_{len(self.roots)}"
            source = self.source("root", annotation)
            DecoderWriter(source, self.tolerances, self.name).slot(name, slot, type_name(annotation))
            source.type_name = type_name(annotation)
            source.install(self.namespace)
            self.roots[annotation] = self.namespace[name]
        return self.roots[annotation]


class _Encoders(_Functions):
    def __init__(self) -> None:
        super().__init__("encode", dict(ENCODER_RUNTIME))

    def name(self, word: str, thing: Any) -> str:
        match word:
            case "encoder":
                return self.later("encoder", thing, lambda name: self._write(name, thing))
            case "prefixes":
                octets = tag_octets(thing)
                return self.constant(word, thing, tuple(octets + bytes((n,)) for n in range(128)))
        return self.constant(word, thing, thing)

    def _write(self, name: str, cls: Any) -> None:
        source = self.source("contents", cls)
        writer = EncoderWriter(source, self.name)
        (writer.choice if issubclass(cls, Choice) else writer.sequence)(name, cls)
        source.install(self.namespace)

    def root(self, annotation: Any) -> Any:
        if annotation not in self.roots:
            name = f"root_{len(self.roots)}"
            source = self.source("root", annotation)
            EncoderWriter(source, self.name).slot(name, slot_of(annotation))
            source.type_name = type_name(annotation)
            source.install(self.namespace)
            self.roots[annotation] = self.namespace[name]
        return self.roots[annotation]


_decoders: dict[Set[Tolerance], _Decoders] = {}
_decoders[STRICT] = _Decoders(STRICT)
_strict_roots = _decoders[STRICT].roots
_encoders = _Encoders()


def _decoders_for(tolerances: Set[Tolerance]) -> _Decoders:
    decoders = _decoders.get(tolerances)
    if decoders is None:
        decoders = _decoders[frozenset(tolerances)] = _Decoders(frozenset(tolerances))
    return decoders


def _oid(text: str) -> Oid:
    """An OID that was just read needs no second check."""
    return str.__new__(Oid, text)


def type_name(annotation: Any) -> str:
    if isinstance(annotation, type):
        return str(getattr(annotation, "__keim_name__", annotation.__name__))
    return str(slot_of(annotation).kind.name.replace("_", " "))


def decode(annotation: type[T], data: bytes, tolerances: Set[Tolerance] = STRICT) -> T:
    """The value of which `data` is the whole encoding; anything else is `Malformed`, with offset and path."""
    octets = data if type(data) is bytes else bytes(data)
    size = len(octets)
    if size > MAX_OCTETS:
        raise Malformed(f"{size} octets are more than any object has", offset=0)
    roots = _strict_roots if tolerances is STRICT else _decoders_for(tolerances).roots
    try:
        function = roots[annotation]
    except KeyError:
        function = _decoders_for(tolerances).root(annotation)
    try:
        value, end = function(octets, 0, size)
    except (Malformed, IndexError, UnicodeDecodeError) as fault:
        _explain(fault, octets)
    if end != size:
        raise Malformed(f"{size - end} octets after the object", offset=end, path=type_name(annotation))
    made: T = value
    return made


def read_value(
    annotation: type[T], data: bytes, position: int = 0, tolerances: Set[Tolerance] = STRICT
) -> tuple[T, int]:
    """The value whose encoding starts at `position`, and where it ends; more may follow."""
    end = read_tlv(data, position, any_length_form=Tolerance.LONG_LENGTHS in tolerances).end
    try:
        return decode(annotation, data[position:end], tolerances), end
    except Malformed as fault:
        fault.offset += position
        raise


def _explain(fault: Malformed | IndexError | UnicodeDecodeError, octets: bytes) -> NoReturn:
    """Raises what a generated decoder met as `Malformed` with the path of fields that led there."""
    path, variables = path_of(fault.__traceback__)
    cursor = variables.get("p", 0)
    if isinstance(fault, Malformed):
        fault.path = fault.path or path
        raise fault
    if isinstance(fault, UnicodeDecodeError):
        offset = variables.get("s", cursor) + fault.start
        raise Malformed(f"no UTF-8: {fault.reason}", offset=offset, path=path) from None
    end = variables.get("e", len(octets))
    if cursor > end:
        text = f"an element reaches {cursor - end} octets beyond the end"
        raise Malformed(text, offset=end, path=path.rpartition(".")[0]) from None
    if cursor >= len(octets):
        name = path.rpartition(".")[2]
        raise Malformed(f"{name} is missing", offset=len(octets), path=path) from None
    raise Malformed("truncated", offset=cursor, path=path) from None


def encode(value: Any, annotation: Any = None) -> bytes:
    """The DER of a value; `annotation` is needed where the value's class does not say its tag."""
    kind = type(value) if annotation is None else annotation
    try:
        function = _encoders.roots[kind]
    except KeyError:
        if annotation is None and not isinstance(value, Message):
            raise Unencodable(f"{type(value).__name__} needs its type to be named") from None
        function = _encoders.root(kind)
    try:
        octets: bytes = function(value)
        return octets
    except Unencodable as fault:
        fault.path = fault.path or path_of(fault.__traceback__)[0]
        raise
    except (TypeError, ValueError, AttributeError, OverflowError, IndexError) as fault:
        raise Unencodable(str(fault), path=path_of(fault.__traceback__)[0]) from fault


def source_of(cls: type[Message], tolerances: Set[Tolerance] = STRICT) -> str:
    """The text of the functions that decode and encode `cls`, as they run."""
    texts = []
    decoders = _Decoders(frozenset(tolerances))
    source = decoders.source("contents", cls)
    writer = DecoderWriter(source, tolerances, decoders.name)
    if issubclass(cls, Choice):
        writer.choice(f"choice_{cls.__name__}", cls)
        if cls.__keim_tag__ is not None:
            source.add("", "")
            writer.tagged_choice(f"contents_{cls.__name__}", f"choice_{cls.__name__}", cls)
    else:
        writer.sequence(f"contents_{cls.__name__}", cls)
    texts.append(source.text)
    encoder = _encoders.source("contents", cls)
    maker = EncoderWriter(encoder, _encoders.name)
    (maker.choice if issubclass(cls, Choice) else maker.sequence)(f"encoder_{cls.__name__}", cls)
    texts.append(encoder.text)
    return "\n\n".join(texts)


type.__setattr__(Message, "decode", classmethod(decode))
type.__setattr__(Message, "encode", encode)

__all__ = ["MAX_OCTETS", "decode", "encode", "read_value", "source_of", "type_name"]
