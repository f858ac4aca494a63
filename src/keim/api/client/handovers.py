"""`client.handovers` and `client.invitations`: devices that go to another eIM, and that come from one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from keim.api.client.models import (
    ArrivingDevice,
    Handover,
    HandoverInvitation,
    HandoverRehearsal,
    LeavingDevice,
    Moved,
    TakenBundle,
    WrittenBundle,
)
from keim.api.client.session import Session

PAPER: Final = "application/octet-stream"


class Handovers:
    def __init__(self, session: Session) -> None:
        self._session = session

    def plan(
        self,
        invitation: str,
        key: str,
        *,
        name: str | None = None,
        eids: Sequence[str] | None = None,
        tag: str | None = None,
        removed_by: str = "new",
    ) -> Handover:
        """All devices, those of a list, or those with a tag; `key` signs the new eIM's papers."""
        given = {
            "invitation": invitation,
            "key": key,
            "name": name,
            "eids": None if eids is None else list(eids),
            "tag": tag,
            "removed_by": removed_by,
        }
        body = {member: value for member, value in given.items() if value is not None}
        return self._session.call(Handover, "POST", "/handovers", body)

    def list(self) -> Iterator[Handover]:
        return self._session.pages(Handover, "/handovers")

    def get(self, id_: str) -> Handover:
        return self._session.call(Handover, "GET", f"/handovers/{id_}")

    def devices(self, id_: str, *, step: str | None = None) -> Iterator[LeavingDevice]:
        return self._session.pages(LeavingDevice, f"/handovers/{id_}/devices", query={"step": step})

    def rehearse(self, id_: str) -> HandoverRehearsal:
        return self._session.call(HandoverRehearsal, "POST", f"/handovers/{id_}/rehearse")

    def start(self, id_: str) -> Handover:
        return self._session.call(Handover, "POST", f"/handovers/{id_}/start")

    def stop(self, id_: str) -> Handover:
        return self._session.call(Handover, "POST", f"/handovers/{id_}/stop")

    def go_on(self, id_: str, *, retries: bool = False) -> Moved:
        return self._session.call(Moved, "POST", f"/handovers/{id_}/continue", {"retries": retries})

    def write_bundle(self, id_: str) -> WrittenBundle:
        return self._session.call(WrittenBundle, "POST", f"/handovers/{id_}/bundles")

    def bundle(self, id_: str, number: int) -> bytes:
        """Number 0: of a rehearsal."""
        return self._session.call(bytes, "GET", f"/handovers/{id_}/bundles/{number}")

    def take_receipt(self, id_: str, paper: bytes) -> Moved:
        return self._session.upload(
            Moved, f"/handovers/{id_}/receipts", [paper], media_type=PAPER, length=len(paper)
        )


class Invitations:
    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, *, sender_key: str = "", counter: int = 0, days: float = 30) -> HandoverInvitation:
        body = {"sender_key": sender_key, "counter": counter, "days": days}
        return self._session.call(HandoverInvitation, "POST", "/invitations", body)

    def list(self) -> Iterator[HandoverInvitation]:
        return self._session.pages(HandoverInvitation, "/invitations")

    def get(self, id_: str) -> HandoverInvitation:
        return self._session.call(HandoverInvitation, "GET", f"/invitations/{id_}")

    def devices(self, id_: str) -> Iterator[ArrivingDevice]:
        return self._session.pages(ArrivingDevice, f"/invitations/{id_}/devices")

    def take_bundle(self, id_: str, paper: bytes, *, sender_key: str = "") -> TakenBundle:
        return self._session.upload(
            TakenBundle,
            f"/invitations/{id_}/bundles",
            [paper],
            media_type=PAPER,
            length=len(paper),
            query={"sender_key": sender_key or None},
        )

    def receipt(self, id_: str, number: int) -> bytes:
        """Of the bundle with this number."""
        return self._session.call(bytes, "GET", f"/invitations/{id_}/receipts/{number}")
