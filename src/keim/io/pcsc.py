"""A card in a PC/SC reader, through pyscard (the extra `pcsc`). Imports keim.errors only."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from keim.errors import Refused, Unreachable


def readers() -> list[Any]:
    try:
        system = import_module("smartcard.System")
    except ImportError:
        raise Refused("pyscard is not installed", code="ipa.pcsc_missing") from None
    try:
        return list(system.readers())
    except Exception as fault:  # pyscard's own classes, which exist only where it is installed
        raise Unreachable(f"PC/SC: {fault}", code="ipa.reader_missing") from fault


class PcscChannel:
    """One reader, by a part of its name, by number, or the first."""

    def __init__(self, wanted: str = "") -> None:
        found = readers()
        named = [
            reader
            for number, reader in enumerate(found)
            if wanted in (str(number), "") or wanted in str(reader)
        ]
        if not named:
            raise Unreachable(
                f"no reader {wanted!r} among {[str(r) for r in found]}", code="ipa.reader_missing"
            )
        self._exceptions = import_module("smartcard.Exceptions")
        self._scard = import_module("smartcard.scard")
        self._connection = named[0].createConnection()
        self._guarded(self._connection.connect)

    def transmit(self, apdu: bytes) -> bytes:
        data, first, second = self._guarded(self._connection.transmit, list(apdu))
        return bytes((*data, first, second))

    def reset(self) -> bytes:
        """Cold: the card loses its power."""
        self._guarded(self._connection.reconnect, None, None, self._scard.SCARD_UNPOWER_CARD)
        return bytes(self._guarded(self._connection.getATR))

    def close(self) -> None:
        self._connection.disconnect()

    def _guarded(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._exceptions.SmartcardException as fault:
            raise Unreachable(f"PC/SC: {fault}", code="ipa.reader_missing") from fault
