"""The codec: TLV reader and writer, and message types compiled from their declarations.

Pure; imports keim.errors and keim.ids only. Start with `notation.py` (how a message type is written), then
`schema.py`, `decoder.py` and `encoder.py` (how it becomes a function).
"""

from keim.der.compiled import decode, encode, read_value, source_of, type_name
from keim.der.message import Choice, Message, Sequence
from keim.der.notation import Also, Bare, Explicit, Name, Null, Size, Split, Tag
from keim.der.plain import from_plain, to_plain
from keim.der.read import MAX_DEPTH, Tlv, read_tlv, tag_text, walk
from keim.der.tolerance import RELAY, STRICT, TOLERANT, V1_0, Tolerance
from keim.der.values import AnyTlv, BitString, Certificate, CertificateList, Code, NamedBits, PublicKeyInfo
from keim.der.write import header, tlv
from keim.ids import Oid

__all__ = [
    "MAX_DEPTH",
    "RELAY",
    "STRICT",
    "TOLERANT",
    "V1_0",
    "Also",
    "AnyTlv",
    "Bare",
    "BitString",
    "Certificate",
    "CertificateList",
    "Choice",
    "Code",
    "Explicit",
    "Message",
    "Name",
    "NamedBits",
    "Null",
    "Oid",
    "PublicKeyInfo",
    "Sequence",
    "Size",
    "Split",
    "Tag",
    "Tlv",
    "Tolerance",
    "decode",
    "encode",
    "from_plain",
    "header",
    "read_tlv",
    "read_value",
    "source_of",
    "tag_text",
    "tlv",
    "to_plain",
    "type_name",
    "walk",
]
