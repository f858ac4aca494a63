"""Writes the ASN.1 module that the compared codecs compile, from keim's own message types.

Every tag is written out: a type's own tag stands where it is referred to, and a CHOICE with a tag of its own
is an EXPLICIT tag around a bare one, which is the same octets and which no compiler gets wrong. Certificates
are full X.509 structures, as in the published modules, or opaque octets (`opaque=True`).
"""

from __future__ import annotations

from typing import Any

from keim.der import Choice
from keim.der.schema import Kind, Slot, fields_of, slot_of

X509 = """
Certificate ::= SEQUENCE {
  tbsCertificate TBSCertificate, signatureAlgorithm AlgorithmIdentifier, signature BIT STRING }
TBSCertificate ::= SEQUENCE {
  version [0] EXPLICIT INTEGER OPTIONAL, serialNumber INTEGER, signature AlgorithmIdentifier, issuer Name,
  validity Validity, subject Name, subjectPublicKeyInfo SubjectPublicKeyInfo,
  issuerUniqueID [1] IMPLICIT BIT STRING OPTIONAL, subjectUniqueID [2] IMPLICIT BIT STRING OPTIONAL,
  extensions [3] EXPLICIT Extensions OPTIONAL }
AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }
Name ::= CHOICE { rdnSequence SEQUENCE OF RelativeDistinguishedName }
RelativeDistinguishedName ::= SET OF AttributeTypeAndValue
AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY }
Validity ::= SEQUENCE { notBefore Time, notAfter Time }
Time ::= CHOICE { utcTime UTCTime, generalTime GeneralizedTime }
SubjectPublicKeyInfo ::= SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING }
Extensions ::= SEQUENCE OF Extension
Extension ::= SEQUENCE { extnID OBJECT IDENTIFIER, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }
CertificateList ::= SEQUENCE { tbsCertList ANY, signatureAlgorithm AlgorithmIdentifier, signature BIT STRING }
"""

OPAQUE = """
Opaque ::= ANY
"""

_PRIMITIVES = {
    Kind.BOOLEAN: "BOOLEAN",
    Kind.INTEGER: "INTEGER",
    Kind.CODE: "INTEGER",
    Kind.OCTETS: "OCTET STRING",
    Kind.TEXT: "UTF8String",
    Kind.OID: "OBJECT IDENTIFIER",
    Kind.NULL: "NULL",
    Kind.NAMED_BITS: "BIT STRING",
    Kind.BIT_STRING: "BIT STRING",
    Kind.ANY: "ANY",
}
_NATURAL = {
    Kind.BOOLEAN: 0x01,
    Kind.INTEGER: 0x02,
    Kind.CODE: 0x02,
    Kind.NAMED_BITS: 0x03,
    Kind.BIT_STRING: 0x03,
    Kind.OCTETS: 0x04,
    Kind.NULL: 0x05,
    Kind.OID: 0x06,
    Kind.TEXT: 0x0C,
}
_X509_TYPES = {"certificate": "Certificate", "public key": "SubjectPublicKeyInfo", "CRL": "CertificateList"}
_CLASSES = {0: "UNIVERSAL ", 1: "APPLICATION ", 2: "", 3: "PRIVATE "}


def module(*roots: Any, opaque: bool = False) -> str:
    """An ASN.1 module with `roots` and all that they need."""
    writer = _Writer(opaque)
    for root in roots:
        writer.root(root)
    body = "\n".join(writer.lines)
    return f"Keim DEFINITIONS EXPLICIT TAGS ::= BEGIN\n{OPAQUE if opaque else X509}\n{body}\nEND\n"


class _Writer:
    def __init__(self, opaque: bool) -> None:
        self.opaque = opaque
        self.done: set[Any] = set()
        self.lines: list[str] = []

    def root(self, annotation: Any) -> None:
        name = f"Root{annotation.__name__}"
        self.lines.append(f"{name} ::= {self._slot(slot_of(annotation))}")

    def _tag(self, octets: int, how: str) -> str:
        raw = octets.to_bytes((octets.bit_length() + 7) // 8, "big")
        number = raw[0] & 0x1F if len(raw) == 1 else raw[1]
        return f"[{_CLASSES[raw[0] >> 6]}{number}] {how} "

    def _slot(self, slot: Slot) -> str:
        if slot.explicit is not None:
            inner = Slot(slot.kind, slot.tag, type=slot.type, element=slot.element)
            return self._tag(slot.explicit, "EXPLICIT") + self._slot(inner)
        kind, tag = slot.kind, slot.tag
        if kind is Kind.CHOICE:
            name = self._class(slot.type)
            return name if tag is None else self._tag(tag, "EXPLICIT") + name
        if kind is Kind.SEQUENCE:
            name = self._class(slot.type)
            return name if tag == 0x30 else self._tag(tag or 0x30, "IMPLICIT") + name
        if kind is Kind.LIST:
            assert slot.element is not None
            text = f"SEQUENCE OF {self._slot(slot.element)}"
            return text if tag == 0x30 else self._tag(tag or 0x30, "IMPLICIT") + text
        if kind is Kind.X509:
            return self._x509(slot)
        text = _PRIMITIVES[kind]
        return text if tag is None or tag == _NATURAL[kind] else self._tag(tag, "IMPLICIT") + text

    def _x509(self, slot: Slot) -> str:
        if not self.opaque:
            name = _X509_TYPES[slot.type]
            return name if slot.tag == 0x30 else self._tag(slot.tag or 0x30, "IMPLICIT") + name
        # The octets of an opaque certificate stay as they are: an octet string in its place.
        tag = slot.tag or 0x30
        return self._tag(tag & ~0x20, "IMPLICIT") + "OCTET STRING" if tag != 0x30 else "ANY"

    def _class(self, cls: Any) -> str:
        name: str = cls.__name__
        if cls not in self.done:
            self.done.add(cls)
            fields = []
            for field in fields_of(cls):
                optional = "" if field.is_mandatory or issubclass(cls, Choice) else " OPTIONAL"
                fields.append(
                    f"  {field.wire_name[0].lower()}{field.wire_name[1:]} {self._slot(field.slot)}{optional}"
                )
            keyword = "CHOICE" if issubclass(cls, Choice) else "SEQUENCE"
            joined = ",\n".join(fields)
            self.lines.append(f"{name} ::= {keyword} {{\n{joined}\n}}")
        return name
