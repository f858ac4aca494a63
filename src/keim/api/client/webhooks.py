"""`client.webhooks`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keim.api.client.models import Delivery, Webhook
from keim.api.client.session import Session


class Webhooks:
    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self, url: str, *, types: Sequence[str] = (), tags: Sequence[str] = (), description: str = ""
    ) -> Webhook:
        """`secret` of what comes back is shown this once."""
        body = {"url": url, "types": list(types), "tags": list(tags), "description": description}
        return self._session.call(Webhook, "POST", "/webhooks", body)

    def list(self) -> Iterator[Webhook]:
        return self._session.pages(Webhook, "/webhooks")

    def get(self, id_: str) -> Webhook:
        return self._session.call(Webhook, "GET", f"/webhooks/{id_}")

    def change(
        self,
        id_: str,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        description: str | None = None,
    ) -> Webhook:
        given = {"url": url, "types": types, "tags": tags, "description": description}
        body = {name: value for name, value in given.items() if value is not None}
        return self._session.call(Webhook, "PATCH", f"/webhooks/{id_}", body)

    def remove(self, id_: str) -> None:
        self._session.call(type(None), "DELETE", f"/webhooks/{id_}")

    def rotate(self, id_: str) -> Webhook:
        return self._session.call(Webhook, "POST", f"/webhooks/{id_}/rotate-secret")

    def pause(self, id_: str) -> Webhook:
        return self._session.call(Webhook, "POST", f"/webhooks/{id_}/pause")

    def resume(self, id_: str, *, skips: bool = False, after: int | None = None) -> Webhook:
        """Where it stopped; from now on (`skips`); or after a certain event."""
        body: dict[str, object] = {"from": "now"} if skips else {}
        if after is not None:
            body["after"] = after
        return self._session.call(Webhook, "POST", f"/webhooks/{id_}/resume", body)

    def test(self, id_: str) -> Delivery:
        return self._session.call(Delivery, "POST", f"/webhooks/{id_}/test")

    def deliveries(
        self, id_: str, *, has_succeeded: bool | None = None, limit: int | None = None
    ) -> Iterator[Delivery]:
        """The latest first."""
        return self._session.pages(
            Delivery, f"/webhooks/{id_}/deliveries", query={"has_succeeded": has_succeeded}, limit=limit
        )

    def resend(self, id_: str, delivery: int) -> Delivery:
        return self._session.call(Delivery, "POST", f"/webhooks/{id_}/deliveries/{delivery}/resend")
