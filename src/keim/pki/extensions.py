"""The extensions of crypto §1.4, read from their octets. What is not asked for is not parsed.

Pure. Imports keim.errors, keim.ids and keim.pki.names/tlv only.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import msgspec

from keim.errors import Malformed
from keim.ids import Oid
from keim.pki.names import Subject, read_rdn_sequence
from keim.pki.tlv import boolean, children, contents, only_child, sequence, small_integer, text

Extensions = dict[bytes, tuple[bool, bytes]]
"""OID contents -> (critical, contents of extnValue)."""

SUBJECT_KEY_IDENTIFIER: Final = bytes.fromhex("551d0e")
KEY_USAGE: Final = bytes.fromhex("551d0f")
SUBJECT_ALT_NAME: Final = bytes.fromhex("551d11")
BASIC_CONSTRAINTS: Final = bytes.fromhex("551d13")
NAME_CONSTRAINTS: Final = bytes.fromhex("551d1e")
CRL_DISTRIBUTION_POINTS: Final = bytes.fromhex("551d1f")
CERTIFICATE_POLICIES: Final = bytes.fromhex("551d20")
AUTHORITY_KEY_IDENTIFIER: Final = bytes.fromhex("551d23")
EXTENDED_KEY_USAGE: Final = bytes.fromhex("551d25")
PERMITTED_EINS: Final = Oid("2.23.146.1.2.2.0").content

KNOWN: Final = frozenset(
    {
        SUBJECT_KEY_IDENTIFIER,
        KEY_USAGE,
        SUBJECT_ALT_NAME,
        BASIC_CONSTRAINTS,
        NAME_CONSTRAINTS,
        CRL_DISTRIBUTION_POINTS,
        CERTIFICATE_POLICIES,
        AUTHORITY_KEY_IDENTIFIER,
        EXTENDED_KEY_USAGE,
        PERMITTED_EINS,
    }
)
SERVER_AUTH: Final = Oid("1.3.6.1.5.5.7.3.1").content
CLIENT_AUTH: Final = Oid("1.3.6.1.5.5.7.3.2").content

DIGITAL_SIGNATURE: Final = 0x80
KEY_CERT_SIGN: Final = 0x04
CRL_SIGN: Final = 0x02


class AlternativeNames(msgspec.Struct, frozen=True):
    registered_ids: tuple[Oid, ...] = ()
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()


class Subtree(msgspec.Struct, frozen=True):
    """One entry of name constraints: a directory name, a DNS name, or a form that we do not judge."""

    directory: Subject | None = None
    dns: str | None = None


class NameConstraints(msgspec.Struct, frozen=True):
    permitted: tuple[Subtree, ...] = ()
    excluded: tuple[Subtree, ...] = ()
    eins: tuple[str, ...] | None = None
    """permittedEins of SGP.22 v3; None where the extension is absent."""

    @property
    def listed_eins(self) -> tuple[str, ...]:
        """Those of v3, else the serial numbers of v2's permitted names; for people and for issuing."""
        if self.eins is not None:
            return self.eins
        named = [tree.directory.serial_number for tree in self.permitted if tree.directory is not None]
        return tuple(ein for ein in named if ein is not None)


def is_critical(extensions: Extensions, oid: bytes) -> bool:
    return oid in extensions and extensions[oid][0]


def subject_key_identifier(extensions: Extensions) -> bytes | None:
    found = extensions.get(SUBJECT_KEY_IDENTIFIER)
    if found is None:
        return None
    value = found[1]
    if len(value) == 22 and value.startswith(b"\x04\x14"):
        return value[2:]
    _, _, content, end = only_child(value, 0, len(value), 0x04, "subjectKeyIdentifier")
    return value[content:end]


def authority_key_identifier(extensions: Extensions) -> bytes | None:
    """The keyIdentifier only; issuer and serial, where given, say the same again."""
    found = extensions.get(AUTHORITY_KEY_IDENTIFIER)
    if found is None:
        return None
    value = found[1]
    if len(value) == 24 and value.startswith(b"\x30\x16\x80\x14"):
        return value[4:]
    for tag, _, content, end in sequence(value, "authorityKeyIdentifier"):
        if tag == 0x80:
            return value[content:end]
    return None


def policies(extensions: Extensions) -> tuple[bytes, ...]:
    if CERTIFICATE_POLICIES not in extensions:
        return ()
    value = extensions[CERTIFICATE_POLICIES][1]
    size = len(value)
    if 8 < size < 64 and value[:6] == bytes((0x30, size - 2, 0x30, size - 4, 0x06, size - 6)):
        # One policy without qualifiers, as every certificate of this world has.
        return (value[6:],)
    found = []
    for tag, start, content, end in sequence(value, "certificatePolicies"):
        information = children(value, content, end) if tag == 0x30 else []
        if not information or information[0][0] != 0x06:
            raise Malformed("a PolicyInformation starts with an OID", offset=start)
        found.append(value[information[0][2] : information[0][3]])
    return tuple(found)


def key_usage(extensions: Extensions) -> int:
    """The first octet of the BIT STRING, 80 = digitalSignature; 0 where the extension is absent."""
    if KEY_USAGE not in extensions:
        return 0
    value = extensions[KEY_USAGE][1]
    if len(value) == 4 and value[:2] == b"\x03\x02" and value[2] < 8:
        return value[3]
    _, _, content, end = only_child(value, 0, len(value), 0x03, "keyUsage")
    if end - content < 2 or value[content] > 7:
        return 0
    return value[content + 1]


def basic_constraints(extensions: Extensions) -> tuple[bool, bool, int | None]:
    """(critical, is a CA, path length)."""
    if BASIC_CONSTRAINTS not in extensions:
        return False, False, None
    critical, value = extensions[BASIC_CONSTRAINTS]
    if len(value) == 8 and value[:7] == b"\x30\x06\x01\x01\xff\x02\x01" and value[7] < 0x80:
        return critical, True, value[7]
    members = sequence(value, "basicConstraints")
    is_ca = False
    if members and members[0][0] == 0x01:
        is_ca = boolean(value, members.pop(0))
    if not members:
        return critical, is_ca, None
    if len(members) != 1 or members[0][0] != 0x02:
        raise Malformed("basicConstraints is cA and pathLenConstraint", offset=members[0][1])
    return critical, is_ca, small_integer(value, members[0])


def extended_key_usage(extensions: Extensions) -> frozenset[bytes] | None:
    if EXTENDED_KEY_USAGE not in extensions:
        return None
    value = extensions[EXTENDED_KEY_USAGE][1]
    return frozenset(value[content:end] for _, _, content, end in sequence(value, "extKeyUsage"))


def alternative_names(extensions: Extensions) -> AlternativeNames:
    if SUBJECT_ALT_NAME not in extensions:
        return AlternativeNames()
    value = extensions[SUBJECT_ALT_NAME][1]
    oids: list[Oid] = []
    names: list[str] = []
    addresses: list[str] = []
    for element in sequence(value, "subjectAltName"):
        tag, start, content, end = element
        if tag == 0x88:
            oids.append(Oid.from_content(value[content:end]))
        elif tag == 0x82:
            names.append(text(value, (0x16, start, content, end)))
        elif tag == 0x87:
            addresses.append(_address(value[content:end], start))
    return AlternativeNames(tuple(oids), tuple(names), tuple(addresses))


def _address(octets: bytes, offset: int) -> str:
    if len(octets) not in (4, 16):
        raise Malformed("an iPAddress has 4 or 16 octets", offset=offset)
    return str(ip_address(octets))


def name_constraints(extensions: Extensions) -> NameConstraints:
    permitted: tuple[Subtree, ...] = ()
    excluded: tuple[Subtree, ...] = ()
    eins: tuple[str, ...] | None = None
    if NAME_CONSTRAINTS in extensions:
        value = extensions[NAME_CONSTRAINTS][1]
        for tag, start, content, end in sequence(value, "nameConstraints"):
            if tag == 0xA0:
                permitted = _subtrees(value, content, end)
            elif tag == 0xA1:
                excluded = _subtrees(value, content, end)
            else:
                raise Malformed("nameConstraints is permitted and excluded subtrees", offset=start)
    if PERMITTED_EINS in extensions:
        value = extensions[PERMITTED_EINS][1]
        eins = tuple([text(value, element) for element in sequence(value, "permittedEins")])
    return NameConstraints(permitted, excluded, eins)


def _subtrees(value: bytes, position: int, end: int) -> tuple[Subtree, ...]:
    """GeneralSubtrees: of each the name that it starts with; minimum and maximum are not used in X.509."""
    found = []
    while position < end:
        start, position = contents(value, position, end, 0x30, "a GeneralSubtree")
        members = children(value, start, position)
        if not members:
            raise Malformed("a GeneralSubtree starts with a name", offset=start)
        tag, start, content, stop = members[0]
        if tag == 0xA4:
            name = only_child(value, content, stop, 0x30, "directoryName")
            found.append(Subtree(read_rdn_sequence(value, name)))
        elif tag == 0x82:
            found.append(Subtree(None, text(value, (0x16, start, content, stop))))
        else:
            found.append(Subtree())
    return tuple(found)


def crl_addresses(extensions: Extensions) -> tuple[str, ...]:
    """The URIs of cRLDistributionPoints, for people and for whoever fetches CRLs."""
    if CRL_DISTRIBUTION_POINTS not in extensions:
        return ()
    value = extensions[CRL_DISTRIBUTION_POINTS][1]
    found: list[str] = []
    for _, _, point, point_end in sequence(value, "cRLDistributionPoints"):
        for name_tag, _, name, name_end in children(value, point, point_end):
            if name_tag != 0xA0:
                continue
            for full_tag, _, full, full_end in children(value, name, name_end):
                if full_tag != 0xA0:
                    continue
                for tag, start, content, end in children(value, full, full_end):
                    if tag == 0x86:
                        found.append(text(value, (0x16, start, content, end)))
    return tuple(found)
