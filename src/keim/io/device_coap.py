"""Calling a device over CoAP and DTLS to inject packages: the roles are swapped (bindings §4.4, §6).

The device is known by a pinned key, else by a certificate of a root that is trusted for devices. We show our
own certificate, since devices believe unsigned packages only of an eIM that they know. Sessions are kept: a
device that is called again signs nothing. Imports keim.errors, keim.wire, keim.pki and its neighbours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from keim.errors import PeerError, Unreachable
from keim.io.coap import CoapNode
from keim.io.dtls_engines import chain_of, client_datagrams
from keim.io.ipa_coap import COAPS_PORT, resolved
from keim.pki import Certificate
from keim.pki.credentials import Credential
from keim.wire.coap import numbers
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.hello import RAW_KEY, X509
from keim.wire.dtls.trust import Anchors, PinnedKeys
from keim.wire.esipa_coap import read_answer, write_request

TIMEOUT_S: Final = 30.0
SESSIONS: Final = 10_000


class CoapExchange:
    """One association with one device."""

    def __init__(self, node: CoapNode, association: Any, party: str, timeout_s: float) -> None:
        self._node, self._association = node, association
        self._party, self._timeout_s = party, timeout_s

    async def send(self, message: bytes) -> bytes:
        request = write_request(message)
        response = await self._node.ask(self._association, request, timeout_s=self._timeout_s)
        if response.code in (numbers.SERVICE_UNAVAILABLE, numbers.TOO_MANY_REQUESTS):
            raise Unreachable("the device has no time now", code="eim.device_busy", party=self._party)
        try:
            return read_answer(response, party=self._party)
        except PeerError as error:
            raise PeerError(
                f"the device answered with {error}",
                code="eim.device_answer",
                party=self._party,
                evidence=error.evidence,
            ) from None

    def close(self) -> None:
        """The device is told; whether it hears does not matter."""
        node = self._node
        node.stack.lower.close(self._association, node.socket.clock())
        node.socket.flush()
        node.socket.close()


class CoapDevices:
    """A `DeviceCarrier` for addresses like `coaps://device.example.com`."""

    def __init__(
        self, credential: Credential, roots: Sequence[Certificate], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._credential, self._timeout_s = credential, timeout_s
        self._chain = chain_of(credential)
        self._anchors = Anchors(x509.load_der_x509_certificate(root.der) for root in roots)
        self._sessions: OrderedDict[tuple[str, bytes], object] = OrderedDict()

    async def reach(self, address: str, spki: bytes) -> CoapExchange:
        """An association that is up and whose other end has proved itself; a KeimError otherwise."""
        parts = urlsplit(address)
        host, party, key = parts.hostname or "", parts.netloc, (address, spki)
        lower = client_datagrams(
            "native",
            PinnedKeys([spki]) if spki else self._anchors,
            key=self._credential.private_key,
            chain=self._chain,
            native=DtlsConfig(cid_octets=0, certificate_types=(RAW_KEY, X509) if spki else (X509,)),
        )
        node = CoapNode(lower)
        where = resolved(host, parts.port or COAPS_PORT)
        node.open("::" if ":" in where[0] else "0.0.0.0")
        target = Target(server_name=host, session=self._sessions.pop(key, None))
        try:
            association = await node.connect(where, target)
        except BaseException:
            node.socket.close()
            raise
        self._sessions[key] = association.session
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return CoapExchange(node, association, party, self._timeout_s)
