"""Writes the source of decoders: one function per type, an integer cursor over `bytes`, literal tag tests.

In the generated text `b` is the whole input, `p` the cursor, `e` the end of what is being read; an element's
contents start at `s` and are `n` octets long, and `t` is where its tag stands. Imports the floor's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any

from keim.der import read
from keim.der.read import tag_text
from keim.der.schema import Field, Kind, Slot, fields_of
from keim.der.source import Source
from keim.der.tolerance import Tolerance
from keim.der.write import tag_octets
from keim.errors import Malformed, UnsupportedAlternative

Namer = Callable[[str, Any], str]
"""Gives the global name by which generated text refers to an object."""


def wrong_size(s: int, found: int, least: int, most: int) -> Malformed:
    wanted = str(least) if least == most else f"{least} to {most}"
    return Malformed(f"size {found}, allowed is {wanted}", offset=s)


def other_length(b: bytes, s: int, wanted: int, end: int) -> Malformed:
    """Why an element of fixed length, whose contents should start at `s`, is refused."""
    n = b[s - 1]
    if n > 127:
        s, n = read.long_length(b, s)
    return read.beyond(s, s + n, end) if s + n > end else wrong_size(s, n, wanted, wanted)


def trailing(b: bytes, p: int, e: int) -> Malformed:
    if p > e:
        return read.beyond(e, p, e)
    return Malformed(f"{e - p} octets too many, beginning with {read.tag_at(b, p, e)}", offset=p)


def unsupported(b: bytes, p: int, e: int, name: str) -> Malformed:
    found = read.tag_at(b, p, e)
    if found == "the end":
        return Malformed(f"no alternative of {name}", offset=p)
    return UnsupportedAlternative(f"{found} is no alternative of {name}", offset=p)


def inner_content(b: bytes, p: int, e: int, tag: int) -> tuple[int, int]:
    """Where a CHOICE's contents are when its own tag was kept inside the one that replaces it."""
    header = tag_octets(tag)
    if b.startswith(header, p):
        inner = read.read_tlv(b, p, e)
        if inner.end == e:
            return inner.content, e
    return p, e


RUNTIME: dict[str, Any] = {
    "missing": read.missing,
    "beyond": read.beyond,
    "unknown_elements": read.unknown_elements,
    "null": read.null,
    "oid_text": read.oid_text,
    "bit_octets": read.bit_octets,
    "read_tlv": read.read_tlv,
    "wrong_size": wrong_size,
    "other_length": other_length,
    "trailing": trailing,
    "unsupported": unsupported,
    "inner_content": inner_content,
}


def runtime(tolerances: Set[Tolerance]) -> dict[str, Any]:
    """The functions that generated decoders call; which ones depends on what is tolerated."""

    def pick(tolerance: Tolerance, tolerant: Any, strict: Any) -> Any:
        return tolerant if tolerance in tolerances else strict

    return RUNTIME | {
        "long_length": pick(Tolerance.LONG_LENGTHS, read.any_length, read.long_length),
        "integer": pick(Tolerance.PADDED_INTEGERS, read.padded_integer, read.integer),
        "boolean": pick(Tolerance.ANY_TRUE, read.any_boolean, read.boolean),
        "named_bits": pick(Tolerance.UNSTRIPPED_BITS, read.unstripped_bits, read.named_bits),
        "x509": pick(Tolerance.NESTED_X509, read.nested_x509, read.x509),
    }


def tag_test(tag: int, at: str = "p") -> str:
    octets = tag_octets(tag)
    tests = [f"b[{at}] == 0x{octets[0]:02X}"]
    tests += [f"b[{at} + {i}] == 0x{octet:02X}" for i, octet in enumerate(octets[1:], 1)]
    return " and ".join(tests)


def _needs_start(slot: Slot) -> bool:
    """Whether the place of the tag is needed once the contents are known."""
    if slot.kind is Kind.X509:
        return True
    return slot.kind in (Kind.SEQUENCE, Kind.CHOICE) and bool(
        slot.type.__keim_keep__ and slot.type.__keim_tag__
    )


def _by_octets(test: tuple[bytes, Field]) -> bytes:
    return test[0]


class DecoderWriter:
    """Writes the decoder of one class, or of one slot that stands alone."""

    def __init__(self, source: Source, tolerances: Set[Tolerance], name: Namer) -> None:
        self.source = source
        self.add = source.add
        self.tolerances = tolerances
        self.name = name
        self.is_checked = False
        """Whether each element is held against the end at once (a CHOICE), or the last one (a SEQUENCE)."""

    # --- one function per class ---------------------------------------------------------------------------

    def sequence(self, function: str, cls: Any) -> None:
        fields = fields_of(cls)
        last = max((place for place, field in enumerate(fields) if field.is_mandatory), default=-1)
        made = self.name("cls", cls)
        raw = "raw=raw, " if cls.__keim_keep__ else ""
        self.add(f"def {function}(b, p, e, raw=None):")
        self.source.depth += 1
        arguments = raw
        for place, field in enumerate(fields):
            is_tail = place > last
            if place == last + 1:
                self._return_early(made, arguments)
            self.source.field = field.wire_name
            arguments += f"{field.name}={field.name}, "
            following = next((later.wire_name for later in fields[place:] if later.is_mandatory), "")
            self._field(field, (made, arguments) if is_tail else None, following)
        self.source.field = None
        known = self.name("known", frozenset(tag for field in fields for tag in field.slot.first_tags))
        if last == len(fields) - 1:
            self._return_early(made, arguments)
        self.add(f"return {made}({arguments}ext=unknown_elements(b, p, e, {known}))")
        self.source.depth -= 1

    def _return_early(self, made: str, arguments: str) -> None:
        """Nothing is left: what follows is optional and keeps its defaults."""
        self.add("if p == e:", f"    return {made}({arguments.rstrip(', ')})")

    def choice(self, function: str, cls: Any) -> None:
        """The alternative at `p`: returns the value and the position after it."""
        self.is_checked = True
        self.add(f"def {function}(b, p, e, raw=None):")
        self.source.depth += 1
        self.add("if p >= e:")
        self.add(f"    raise unsupported(b, p, e, {cls.__keim_name__!r})")
        self.add("x = b[p]")
        fields = fields_of(cls)
        tests = [(tag_octets(tag), field) for field in fields for tag in field.slot.first_tags]
        for first in dict.fromkeys(octets[0] for octets, _ in tests):
            self.source.field = None
            self.add(f"if x == 0x{first:02X}:")
            self.source.depth += 1
            if first & 0x1F == 0x1F:
                self.add("y = b[p + 1]")
            self._alternatives(cls, sorted((test for test in tests if test[0][0] == first), key=_by_octets))
            self.source.depth -= 1
        for field in fields:
            for also in field.slot.also:
                if also.tolerance in self.tolerances:
                    self.source.field = field.wire_name
                    self._other_tag(cls, field, also.octets, also.when)
        self.source.field = None
        if Tolerance.UNKNOWN_ALTERNATIVES in self.tolerances:
            self.add("t = p", "p = read_tlv(b, p, e).end")
            self.add(f"return {self.name('cls', cls)}(unknown=b[t:p]), p")
        else:
            self.add(f"raise unsupported(b, p, e, {cls.__keim_name__!r})")
        self.source.depth -= 1

    def tagged_choice(self, function: str, alternatives: str, cls: Any) -> None:
        """The contents of a CHOICE that has a tag of its own."""
        self.add(f"def {function}(b, p, e, raw=None):")
        self.source.depth += 1
        if Tolerance.KEPT_INNER_TAG in self.tolerances and cls.__keim_tag__ is not None:
            self.add(f"p, e = inner_content(b, p, e, 0x{cls.__keim_tag__:X})")
        if Tolerance.BARE_CONTENT in self.tolerances:
            for field in fields_of(cls):
                if field.slot.bare is not None:
                    self.source.field = field.wire_name
                    self.add(f"if {self.name('when', field.slot.bare.when)}(b, p, e):")
                    self.source.depth += 1
                    self.add("s, p = p, e")
                    self._contents(field.slot, field.name, "e", field.slot.type.__keim_tag__, 0)
                    self._return_alternative(cls, field, position=None)
                    self.source.depth -= 1
        self.source.field = None
        self.add(f"v, p = {alternatives}(b, p, e, raw)")
        self.add("if p != e:", "    raise trailing(b, p, e)", "return v")
        self.source.depth -= 1

    def slot(self, function: str, slot: Slot, name: str) -> None:
        """A decoder for an annotation of its own: returns the value and the position after it."""
        self.is_checked = True
        self.add(f"def {function}(b, p, e):")
        self.source.depth += 1
        if (slot.first_tags and slot.tag is not None) or slot.explicit is not None:
            tag = slot.first_tags[0]
            self._expect(tag, "e", name)
        self._element(slot, "value", "e", 0)
        self.add("return value, p")
        self.source.depth -= 1

    # --- fields -------------------------------------------------------------------------------------------

    def _tests(self, slot: Slot) -> str:
        """The condition under which the element at `p` is this slot's."""
        tags = list(slot.first_tags)
        tags += [also.octets for also in slot.also if also.tolerance in self.tolerances]
        if not tags:
            return "p < e"  # an open type: whatever stands there
        tests = [tag_test(tag) for tag in tags]
        return tests[0] if len(tests) == 1 else "(" + " or ".join(f"({test})" for test in tests) + ")"

    def _field(self, field: Field, tail: tuple[str, str] | None, following: str) -> None:
        """One field; `tail` is how to return behind a field after which nothing need follow.

        A field in the tail is looked at only while something is left, and one before it stands before a
        mandatory field (`following`): neither need ask whether something is left.
        """
        slot = field.slot
        if field.is_mandatory:
            if slot.first_tags and not (slot.tag is None and slot.explicit is None):
                wanted = "/".join(tag_text(tag) for tag in slot.first_tags)
                self.add(f"if not ({self._tests(slot)}):")
                self.add(f"    raise missing(b, p, e, {field.wire_name!r}, '{wanted}')")
            self._element(slot, field.name, "e", 0)
            return
        default = "None" if field.default is None else self.name("default", field.default)
        self.add(f"{field.name} = {default}")
        if tail is None:
            self.source.field = following
        self.add(f"if {self._tests(slot)}:")
        self.source.field = field.wire_name
        self.source.depth += 1
        self._element(slot, field.name, "e", 0)
        if field.has_value_default and Tolerance.EXPLICIT_DEFAULTS not in self.tolerances:
            self.add(f"if {field.name} == {default}:")
            self.add("    raise Malformed('a DEFAULT value is written', offset=s)")
        if tail is not None:
            self._return_early(*tail)
        self.source.depth -= 1

    def _alternatives(self, cls: Any, tests: list[tuple[bytes, Field]]) -> None:
        """Alternatives whose tags share the first octet; many of them are halved by the second."""
        half = len(tests) // 2
        while half < len(tests) and tests[half][0][1:2] == tests[half - 1][0][1:2]:
            half += 1  # tags that share the second octet as well stay together
        if len(tests) > 3 and half < len(tests):
            self.source.field = None
            self.add(f"if y < 0x{tests[half][0][1]:02X}:")
            self.source.depth += 1
            self._alternatives(cls, tests[:half])
            self.source.depth -= 1
            self.add("else:")
            self.source.depth += 1
            self._alternatives(cls, tests[half:])
            self.source.depth -= 1
            return
        for octets, field in tests:
            self.source.field = field.wire_name
            self._alternative(cls, field, octets[1:])

    def _alternative(self, cls: Any, field: Field, rest: bytes) -> None:
        """The alternative whose tag goes on with `rest` behind the first octet, which has been seen."""
        tests = [f"b[p + {place}] == 0x{octet:02X}" for place, octet in enumerate(rest, 1)]
        if tests:
            self.add(f"if {' and '.join(tests)}:".replace("b[p + 1]", "y"))
            self.source.depth += 1
        if cls.__keim_keep__ and cls.__keim_tag__ is None:
            self.add("start = p")
        self._element(field.slot, field.name, "e", 0)
        self._return_alternative(cls, field, position="p")
        if tests:
            self.source.depth -= 1

    def _other_tag(self, cls: Any, field: Field, tag: int, when: Any) -> None:
        self.add(f"if {tag_test(tag)}:")
        self.source.depth += 1
        self.add("t = p")
        self._header(tag, "e")
        condition = f"{self.name('when', when)}(b, s, p)" if when is not None else "True"
        self.add(f"if {condition}:")
        self.source.depth += 1
        self._contents(field.slot, field.name, "e", tag, 0)
        self._return_alternative(cls, field, position="p")
        self.source.depth -= 1
        self.add("p = t")
        self.source.depth -= 1

    def _return_alternative(self, cls: Any, field: Field, position: str | None) -> None:
        raw = ""
        if cls.__keim_keep__:
            raw = ", raw=raw" if cls.__keim_tag__ is not None else ", raw=b[start:p]"
        value = f"{self.name('cls', cls)}({field.name}={field.name}{raw})"
        self.add(f"return {value}, {position}" if position else f"return {value}")

    # --- elements -----------------------------------------------------------------------------------------

    def _expect(self, tag: int, end: str, name: str) -> None:
        self.add(f"if not ({tag_test(tag)}):", f"    raise missing(b, p, {end}, {name!r}, '{tag_text(tag)}')")

    def _header(self, tag: int, end: str, *, is_checked: bool = True) -> None:
        """The tag and length at `p`: afterwards the contents are b[s:p].

        A field of a SEQUENCE that reaches beyond the end is found at the end of the SEQUENCE.
        """
        size = len(tag_octets(tag))
        self.add(
            f"n = b[p + {size}]",
            f"s = p + {size + 1}",
            "if n > 127:",
            "    if n == 0x82 and b[s]:",
            "        n = b[s] << 8 | b[s + 1]",
            "        s += 2",
            "    else:",
            "        s, n = long_length(b, s)",
            "p = s + n",
        )
        if is_checked:
            self.add(f"if p > {end}:", f"    raise beyond(s, p, {end})")

    def _element(self, slot: Slot, target: str, end: str, depth: int) -> None:
        """The element at `p`, whose tag has been seen: into `target`, and `p` behind it."""
        if slot.explicit is not None:
            self._header(slot.explicit, end)
            inner_end = f"e{depth + 1}"
            self.add(f"{inner_end} = p", "p = s")
            inner = replace(slot, explicit=None)
            if slot.tag is not None:
                self._expect(slot.tag, inner_end, "the explicitly tagged element")
            self._element(inner, target, inner_end, depth + 1)
            self.add(f"if p != {inner_end}:", f"    raise trailing(b, p, {inner_end})")
            return
        if slot.tag is None:
            if slot.kind is Kind.ANY:
                self.add("t = p", f"p = read_tlv(b, p, {end}).end", f"{target} = b[t:p]")
            else:
                self.add(f"{target}, p = {self.name('choice', slot.type)}(b, p, {end})")
            return
        if self._short_octets(slot, target, end):
            return
        if self._flag(slot, target):
            return
        if _needs_start(slot):
            self.add("t = p")
        self._header(slot.tag, end, is_checked=self.is_checked)
        self._contents(slot, target, end, slot.tag, depth)

    def _short_octets(self, slot: Slot, target: str, end: str) -> bool:
        """Octets of one fixed short length: the commonest field needs no arithmetic with lengths."""
        if slot.kind is not Kind.OCTETS or slot.size is None or Tolerance.ANY_SIZE in self.tolerances:
            return False
        least, most = slot.size
        if least != most or least > 127 or Tolerance.LONG_LENGTHS in self.tolerances:
            return False
        assert slot.tag is not None
        size = len(tag_octets(slot.tag))
        self.add(
            f"if b[p + {size}] != {least}:",
            f"    raise other_length(b, p + {size + 1}, {least}, {end})",
            f"s = p + {size + 1}",
            f"p = s + {least}",
            f"{target} = b[s:p]",
        )
        return True

    def _flag(self, slot: Slot, target: str) -> bool:
        """NULL and BOOLEAN have one length; what is not right goes the long way to be refused."""
        if slot.tag is None or Tolerance.LONG_LENGTHS in self.tolerances:
            return False
        size = len(tag_octets(slot.tag))
        if slot.kind is Kind.NULL:
            self.add(
                f"s = p + {size + 1}", f"{target} = null(s, s + b[s - 1]) if b[s - 1] else True", "p = s"
            )
            return True
        if slot.kind is Kind.BOOLEAN:
            self.add(f"s = p + {size + 1}", "p = s + 1")
            self.add(f"{target} = boolean(b, s, s + b[s - 1])")
            return True
        return False

    def _contents(self, slot: Slot, target: str, end: str, tag: int, depth: int) -> None:
        """Contents b[s:p] into `target`; `tag` is what stands at `t`."""
        kind = slot.kind
        if kind is Kind.LIST:
            self._list(slot, target, end, depth)
            return
        if kind in (Kind.SEQUENCE, Kind.CHOICE):
            raw = ""
            if slot.type.__keim_keep__ and slot.type.__keim_tag__ is not None:
                own = slot.type.__keim_tag__
                raw = ", b[t:p]"
                if tag != own:
                    raw = f", {tag_octets(own)!r} + b[t + {len(tag_octets(tag))} : p]"
            self.add(f"{target} = {self.name('contents', slot.type)}(b, s, p{raw})")
        else:
            self._primitive(slot, target, tag)
        self._size(slot, target)

    def _primitive(self, slot: Slot, target: str, tag: int) -> None:
        kind = slot.kind
        if kind is Kind.OCTETS:
            self.add(f"{target} = b[s:p]")
        elif kind is Kind.TEXT:
            self.add(f"{target} = b[s:p].decode()")
        elif kind in (Kind.INTEGER, Kind.CODE):
            self.add(f"{target} = b[s] if n == 1 and b[s] < 128 else integer(b, s, p)")
            if kind is Kind.CODE:
                self._member(slot, target)
        elif kind is Kind.BOOLEAN:
            self.add(f"{target} = boolean(b, s, p)")
        elif kind is Kind.NULL:
            self.add(f"{target} = null(s, p)")
        elif kind is Kind.OID:
            self.add(f"{target} = {self.name('oid', str)}(oid_text(b, s, p))")
        elif kind is Kind.NAMED_BITS:
            self.add(f"{target} = named_bits(b, s, p)")
            self._member(slot, target)
        elif kind is Kind.BIT_STRING:
            self.add(f"{target} = BitString(*bit_octets(b, s, p))")
        elif kind is Kind.X509:
            if tag == 0x30:
                self.add(f"{target} = b[t:p]")
            else:
                self.add(f"{target} = x509(b, t + {len(tag_octets(tag))}, s, p, {slot.type!r})")

    def _member(self, slot: Slot, target: str) -> None:
        members = self.name("members", slot.type)
        made = f"{self.name('unnamed', slot.type)}({target})"
        self.add(f"{target} = {members}[{target}] if {target} in {members} else {made}")

    def _size(self, slot: Slot, target: str) -> None:
        if slot.size is None or Tolerance.ANY_SIZE in self.tolerances:
            return
        least, most = slot.size
        measure = f"len({target})" if slot.kind in (Kind.TEXT, Kind.LIST) else "n"
        test = f"{measure} != {least}" if least == most else f"not {least} <= {measure} <= {most}"
        if least == 0 and least != most:
            test = f"{measure} > {most}"
        self.add(f"if {test}:", f"    raise wrong_size(s, {measure}, {least}, {most})")

    def _list(self, slot: Slot, target: str, end: str, depth: int) -> None:
        element = slot.element
        assert element is not None
        inner_end, items = f"e{depth + 1}", f"items_{target}"
        split = slot.is_split and slot.tag is not None and Tolerance.SPLIT_LISTS in self.tolerances
        self.add(f"{items} = []")
        if split:
            self.add("while True:")
            self.source.depth += 1
        self.add(f"{inner_end} = p", "p = s", f"while p < {inner_end}:")
        self.source.depth += 1
        whole = self.source.field
        if whole is not None and depth == 0:
            self.source.field = f"{whole}[]"
            self.source.items[self.source.field] = items
        if element.explicit is not None or element.tag is not None:
            tag = element.first_tags[0]
            self._expect(tag, inner_end, "element")
        item = f"item_{depth}"
        self._element(element, item, inner_end, depth + 1)
        self.add(f"{items}.append({item})")
        self.source.depth -= 1
        self.source.field = whole
        self.add(f"if p != {inner_end}:", f"    raise trailing(b, p, {inner_end})")
        if split:
            assert slot.tag is not None
            self.add(f"if not (p < {end} and {tag_test(slot.tag)}):", "    break")
            self._header(slot.tag, end)
            self.source.depth -= 1
        self.add(f"{target} = tuple({items})")
        self._size(slot, target)
