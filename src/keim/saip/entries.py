"""What a profile holds besides files: PINs, credentials, domains, applications; secrets print as ***.

Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from keim.saip.elements import Algorithm, without_secrets


class Pin(msgspec.Struct, frozen=True, gc=False):
    """One PIN or administrative code of a directory's context."""

    reference: int
    value: bytes | None
    """None: nobody knows it (the ADM1 that an IoT profile has by default)."""
    puk: int | None = None
    attributes: int = 7
    tries_max: int = 3
    tries_left: int = 3

    @property
    def is_enabled(self) -> bool:
        return bool(self.attributes & 1)

    @property
    def is_changeable(self) -> bool:
        return bool(self.attributes & 2)

    @property
    def may_be_disabled(self) -> bool:
        return bool(self.attributes & 4)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(_fields(self), "value")

    def __repr__(self) -> str:
        return _shown(self)


class Puk(msgspec.Struct, frozen=True, gc=False):
    reference: int
    value: bytes
    tries_max: int = 10
    tries_left: int = 10

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(_fields(self), "value")

    def __repr__(self) -> str:
        return _shown(self)


class Authentication(msgspec.Struct, frozen=True, gc=False):
    """The credentials of one network access application."""

    aid: bytes
    algorithm: Algorithm
    options: int
    key: bytes
    opc: bytes
    """OPc (16 octets) or TOPc (32)."""
    rotation: bytes
    xoring: bytes
    keccak_rounds: int
    sqn_options: int
    sqn_delta: int
    sqn_age_limit: int
    sqn_init: tuple[int, ...]
    """SEQ of each of the 32 indices; empty when all are zero."""
    counter_max: int | None = None
    shared_with: bytes | None = None
    """The AID whose key and sequence numbers these are (mappingSource)."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return without_secrets(_fields(self), "key", "opc")

    def __repr__(self) -> str:
        return _shown(self)


class CdmaCredentials(msgspec.Struct, frozen=True, gc=False):
    aid: bytes
    authentication_key: bytes
    parameters: bytes
    """The element as it came: kept, not used."""

    def __repr__(self) -> str:
        return f"CdmaCredentials(aid={self.aid!r}, ***)"


class SdKey(msgspec.Struct, frozen=True, gc=False):
    """One key of a security domain."""

    version: int
    identifier: int
    usage: bytes
    access: int
    components: tuple[tuple[int, bytes, int], ...]
    """(key type, value, MAC length) of each."""
    counter: bytes | None = None

    @property
    def type(self) -> int:
        return self.components[0][0] if self.components else 0

    @property
    def value(self) -> bytes:
        return self.components[0][1] if self.components else b""

    def __repr__(self) -> str:
        return (
            f"SdKey(version={self.version:02X}, identifier={self.identifier:02X}, type={self.type:02X}, ***)"
        )


class ApplicationEntry(msgspec.Struct, frozen=True, gc=False):
    """An application or a security domain as GET STATUS lists it; nothing of it is executed."""

    aid: bytes
    load_package: bytes
    class_aid: bytes
    privileges: bytes
    life_cycle: int
    domain: bytes
    """The security domain that it belongs to."""
    parameters: bytes
    tars: tuple[bytes, ...]
    minimum_security: int
    """SPI1 that a remote command must at least have; 0 when the package says nothing."""
    process_data: tuple[bytes, ...] = ()


class SecurityDomainEntry(msgspec.Struct, frozen=True, gc=False):
    application: ApplicationEntry
    keys: tuple[SdKey, ...]
    personalisation: tuple[bytes, ...] = ()

    @property
    def aid(self) -> bytes:
        return self.application.aid

    def key(self, version: int, identifier: int) -> SdKey | None:
        return next((k for k in self.keys if (k.version, k.identifier) == (version, identifier)), None)


class RemoteFileManagement(msgspec.Struct, frozen=True, gc=False):
    aid: bytes
    domain: bytes
    tars: tuple[bytes, ...]
    minimum_security: int
    access: bytes
    admin_access: bytes
    adf: bytes | None = None
    adf_access: bytes = b""
    adf_admin_access: bytes = b""


class LoadPackage(msgspec.Struct, frozen=True, gc=False):
    aid: bytes
    domain: bytes
    size: int
    hash_value: bytes | None = None


def _fields(value: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    for name in value.__struct_fields__:
        yield name, getattr(value, name)


def _shown(value: Any) -> str:
    return (
        f"{type(value).__name__}({', '.join(f'{name}={field!r}' for name, field in value.__rich_repr__())})"
    )
