"""`client.catalogue`: products, their activation codes, downloads with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from keim.api.client.models import AddedCodes, Code, Product, StartedDownload, StartedDownloads
from keim.api.client.session import Session


class Catalogue:
    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        *,
        description: str = "",
        service_provider: str = "",
        server: str = "",
        profile_type: str = "",
        low_stock: int = 0,
    ) -> Product:
        """With `server` (and `profile_type`) codes are ordered over ES2+ when none is free."""
        body: dict[str, object] = {
            "name": name,
            "description": description,
            "service_provider": service_provider,
            "low_stock": low_stock,
        }
        if server:
            body |= {"source": "es2plus", "server": server, "profile_type": profile_type}
        return self._session.call(Product, "POST", "/catalogue", body)

    def list(self) -> Iterator[Product]:
        return self._session.pages(Product, "/catalogue")

    def get(self, name: str) -> Product:
        return self._session.call(Product, "GET", f"/catalogue/{name}")

    def remove(self, name: str) -> None:
        self._session.call(type(None), "DELETE", f"/catalogue/{name}")

    def add(
        self, name: str, codes: Sequence[str | Mapping[str, str]], *, is_rehearsal: bool = False
    ) -> AddedCodes:
        """A code is its text, or the members `activation_code`, `confirmation_code`, `iccid`."""
        given = [{"activation_code": code} if isinstance(code, str) else dict(code) for code in codes]
        return self._session.call(
            AddedCodes,
            "POST",
            f"/catalogue/{name}/codes",
            {"codes": given},
            query={"dry_run": True if is_rehearsal else None},
        )

    def codes(self, name: str, *, state: str | None = None, limit: int | None = None) -> Iterator[Code]:
        return self._session.pages(Code, f"/catalogue/{name}/codes", query={"state": state}, limit=limit)

    def reserve(
        self, name: str, *, eid: str | None = None, note: str = "", until: datetime | None = None
    ) -> Code:
        body: dict[str, object] = {"note": note, "eid": eid, "until": until}
        return self._session.call(Code, "POST", f"/catalogue/{name}/reserve", body)

    def use(self, name: str, code: int, *, eid: str | None = None, note: str = "") -> Code:
        return self._session.call(
            Code, "POST", f"/catalogue/{name}/codes/{code}/use", {"eid": eid, "note": note}
        )

    def give_back(self, name: str, code: int) -> Code:
        return self._session.call(Code, "POST", f"/catalogue/{name}/codes/{code}/give-back")

    def download(
        self, name: str, eids: Sequence[str], *, expires_at: datetime | None = None
    ) -> Iterator[StartedDownload]:
        """One for each device, each with a code of its own."""
        for start in range(0, len(eids), 1000):
            body = {"eids": list(eids[start : start + 1000]), "expires_at": expires_at}
            yield from self._session.call(
                StartedDownloads, "POST", f"/catalogue/{name}/downloads", body
            ).items
