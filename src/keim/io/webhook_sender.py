"""POSTs to the receivers of webhooks: checked addresses, no redirects, bounded in time and size."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from keim.eim.addresses import AddressPolicy
from keim.eim.webhooks.address import target_of
from keim.errors import Refused
from keim.io.http_client import HttpClient
from keim.io.kept_clients import KeptClients
from keim.io.resolve import endpoint_of
from keim.wire.http import HttpRequest, HttpResponse

ANSWER_LIMIT: Final = 64 * 1024
"""Nobody needs what a receiver says beyond its status."""


class WebhookSender:
    def __init__(
        self,
        policy: AddressPolicy,
        *,
        tls: ssl.SSLContext,
        allows_http: bool = False,
        timeout_s: float = 15.0,
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._allows_http = allows_http
        self._timeout_s = timeout_s
        self._clients = KeptClients()

    def check(self, url: str) -> None:
        """What can be refused without asking DNS; the rest is refused at each delivery."""
        target_of(url, self._policy, allows_http=self._allows_http)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """The answer, whatever its status: a redirect is an answer like any other and is not followed."""
        target = target_of(url, self._policy, allows_http=self._allows_http)
        try:
            endpoint = await endpoint_of(target.address, self._policy, port=target.port)
        except Refused as refusal:
            raise Refused(str(refusal), code="webhook.address_refused") from None
        client = self._client(target.base, endpoint)
        return await client.send(HttpRequest("POST", target.path, headers, body, query=target.query))

    def _client(self, base: str, endpoint: tuple[str, int]) -> HttpClient:
        return self._clients.of(
            (base, endpoint),
            lambda: HttpClient(
                base,
                tls=self._tls,
                timeout_s=self._timeout_s,
                connect_to=endpoint,
                answer_limit=ANSWER_LIMIT,
                party="receiver",
            ),
        )

    def close(self) -> None:
        self._clients.close()
