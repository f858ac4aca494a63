"""Writes the part of a decoder that reads one element: header, contents, size.

In the generated text `b` is the whole input, `p` the cursor, `e` the end of what is being read; an element's
contents start at `s` and are `n` octets long, and `t` is where its tag stands. Imports the floor's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any

from keim.der.read import tag_text
from keim.der.schema import Kind, Slot
from keim.der.source import Source
from keim.der.tolerance import Tolerance
from keim.der.write import tag_octets

Namer = Callable[[str, Any], str]
"""Gives the global name by which generated text refers to an object."""


def tag_test(tag: int) -> str:
    """The condition that this tag stands at the cursor."""
    octets = tag_octets(tag)
    tests = [f"b[p] == 0x{octets[0]:02X}"]
    tests += [f"b[p + {i}] == 0x{octet:02X}" for i, octet in enumerate(octets[1:], 1)]
    return " and ".join(tests)


def _needs_start(slot: Slot) -> bool:
    """Whether the place of the tag is needed once the contents are known."""
    if slot.kind is Kind.X509:
        return True
    return slot.kind in (Kind.SEQUENCE, Kind.CHOICE) and bool(
        slot.type.__keim_keep__ and slot.type.__keim_tag__
    )


class ElementWriter:
    """Knows how each kind of element is read; `DecoderWriter` puts the elements together."""

    def __init__(self, source: Source, tolerances: Set[Tolerance], name: Namer) -> None:
        self.source = source
        self.add = source.add
        self.tolerances = tolerances
        self.name = name
        self.is_checked = False
        """Whether each element is held against the end at once (a CHOICE), or the last one (a SEQUENCE)."""

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
