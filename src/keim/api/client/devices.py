"""`client.devices` and `client.events`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from keim.api.client.device_models import Device, Event, Filter, Next, Twin
from keim.api.client.session import Session
from keim.errors import PeerError


class Devices:
    def __init__(self, session: Session) -> None:
        self._session = session

    def list(
        self,
        wanted: Filter | None = None,
        *,
        saved_filter: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Device]:
        query = dict(msgspec.to_builtins(wanted or Filter()))
        if "tags" in query:
            query["tag"] = list(query.pop("tags"))
        query["saved_filter"] = saved_filter
        return self._session.pages(Device, "/devices", query=query, limit=limit)

    def get(self, eid: str, *, at: datetime | None = None) -> Twin:
        """The twin, now or as it was."""
        query = {"at": None if at is None else at.isoformat()}
        return self._session.call(Twin, "GET", f"/devices/{eid}", query=query)

    def next(self, eid: str) -> Next:
        return self._session.call(Next, "GET", f"/devices/{eid}/next")

    def register(
        self,
        eid: str,
        *,
        token: int | None = None,
        counter: int = 0,
        tags: Sequence[str] = (),
        certificates: tuple[bytes, bytes] | None = None,
        signing_key: str = "",
    ) -> Device:
        """`certificates` are CERT.EUICC and CERT.EUM in DER."""
        body: dict[str, object] = {
            "eid": eid,
            "token": token,
            "counter": counter,
            "tags": list(tags),
            "signing_key": signing_key,
        }
        if certificates is not None:
            body["certificates"] = {"euicc": certificates[0].hex(), "eum": certificates[1].hex()}
        return self._session.call(Device, "POST", "/devices", body)

    def change(
        self,
        eid: str,
        *,
        state: str | None = None,
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
        clears_alarm: bool = False,
        reason: str = "",
    ) -> Device:
        body: dict[str, object] = {
            "state": state,
            "add_tags": list(add_tags),
            "remove_tags": list(remove_tags),
            "clear_alarm": clears_alarm,
            "reason": reason,
        }
        return self._session.call(Device, "PATCH", f"/devices/{eid}", body)


class Events:
    def __init__(self, session: Session) -> None:
        self._session = session

    def list(
        self,
        *,
        types: Sequence[str] = (),
        device: str | None = None,
        tags: Sequence[str] = (),
        limit: int | None = None,
    ) -> Iterator[Event]:
        query = {"type": list(types) or None, "device": device, "tag": list(tags) or None}
        return self._session.pages(Event, "/events", query=query, limit=limit)

    def follow(
        self,
        *,
        types: Sequence[str] = (),
        device: str | None = None,
        tags: Sequence[str] = (),
        after: int | None = None,
    ) -> Iterator[Event]:
        """For ever, each once and in order; broken connections are opened again behind the last one."""
        query = {"type": list(types) or None, "device": device, "tag": list(tags) or None, "after": after}
        for told in self._session.feed("/events/feed", query=query):
            try:
                yield msgspec.json.decode(told.data, type=Event)
            except msgspec.DecodeError as error:
                raise PeerError(
                    f"the feed told what is no event: {error}", code="client.broken_answer", party="server"
                ) from None
