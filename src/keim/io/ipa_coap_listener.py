"""Where eIMs inject packages into a device over CoAP and DTLS: the same as `keim.io.ipa_listener` over HTTPS.

A loop in a thread of its own hears; messages wait in the daemon's queue, a few at most, and an eIM for which
there is no time is asked to come back. Whose key an eIM proved is judged by the card's entries, not here.
Imports keim.errors, keim.wire and its neighbours only.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from keim.errors import Refused, Unreachable
from keim.io.coap import CoapNode, Watched
from keim.io.datagram import bound_socket
from keim.io.dtls_engines import server_datagrams
from keim.io.ipa_listener import RETRY_AFTER_S, Injected
from keim.wire.coap.events import Association, Request, Response
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import DtlsConfig
from keim.wire.dtls.events import NOBODY
from keim.wire.esipa_coap import busy, read_request, write_answer

AT_ONCE: Final = 4
"""Messages that wait for the daemon; each takes a thread."""
EIMS: Final = 16


class AnyKey:
    """Takes whatever key the other side proves to have: what it may do is decided later, by whose it is."""

    def check_chain(
        self, chain: Sequence[x509.Certificate], *, name: str | None, is_server: bool, now: float
    ) -> None:
        """Neither names nor dates count for a key that is compared with the card's own entries."""

    def check_raw_key(self, spki: bytes) -> None:
        """As above."""


class CoapListener:
    """Serves in a thread until closed."""

    def __init__(
        self,
        host: str,
        port: int,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        commands: queue.Queue[Any],
    ) -> None:
        try:
            self._bound = bound_socket(host, port)
        except Unreachable as fault:
            raise Refused(str(fault), code="ipa.listener_unusable") from fault
        self.port: int = self._bound.getsockname()[1]
        self._key, self._chain, self._commands = key, chain, commands
        self._waiting = 0
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        lower = server_datagrams(
            "native",
            self._key,
            self._chain,
            trust=AnyKey(),
            client_proof="optional",
            native=DtlsConfig(cid_octets=0, associations=EIMS, half_open=EIMS),
        )
        # every answer comes by itself, so that its acknowledgement tells whether the eIM has it
        node = CoapNode(lower, serve=self._requested, settings=CoapSettings(ack_delay_s=0.0))
        node.socket.use(self._bound)
        await self._ending.wait()
        await node.close()

    def _requested(
        self, request: Request, association: Association
    ) -> Response | Awaitable[Response | Watched]:
        message = read_request(request)
        if isinstance(message, Response):
            return message
        if self._waiting >= AT_ONCE:
            return busy(int(RETRY_AFTER_S))
        identity = getattr(association, "identity", NOBODY)
        return self._take(Injected(message, None, key=identity.value))

    async def _take(self, injected: Injected) -> Response | Watched:
        self._waiting += 1
        try:
            self._commands.put(injected)
            answer = await asyncio.to_thread(injected.wait)
        finally:
            self._waiting -= 1
        if answer is None:
            return busy(int(RETRY_AFTER_S))
        return Watched(write_answer(answer), lambda was_sent: injected.note_sent(was_sent=was_sent))
