"""Writes the source of decoders: one function per type, an integer cursor over `bytes`, literal tag tests.

How one element is read stands in `element_decoder.py`, with the names of the generated variables; what the
generated text calls when something is wrong in `decoder_runtime.py`. Imports the floor's own files.
"""

from __future__ import annotations

from typing import Any

from keim.der.element_decoder import ElementWriter, tag_test
from keim.der.read import tag_text
from keim.der.schema import Field, Slot, fields_of
from keim.der.tolerance import Tolerance
from keim.der.write import tag_octets


def _by_octets(test: tuple[bytes, Field]) -> bytes:
    return test[0]


class DecoderWriter(ElementWriter):
    """Writes the decoder of one class, or of one slot that stands alone."""

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
        for field in fields_of(cls):
            bare = field.slot.bare
            if bare is not None and bare.tolerance in self.tolerances:
                self.source.field = field.wire_name
                self.add(f"if {self.name('when', bare.when)}(b, p, e):")
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
