"""`client.tokens`, `client.tenants`, `client.approvals`: who may do what, what waits for a second person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from keim.api.client.models import Approval, Tenant, Token
from keim.api.client.session import Session


class Tokens:
    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] = (),
        role: str | None = None,
        expires_at: datetime | None = None,
    ) -> Token:
        """Scopes or a role. `token` of what comes back is shown this once."""
        body = {"name": name, "scopes": list(scopes) or None, "role": role, "expires_at": expires_at}
        return self._session.call(Token, "POST", "/tokens", body)

    def list(self) -> Iterator[Token]:
        return self._session.pages(Token, "/tokens")

    def get(self, id_: str) -> Token:
        return self._session.call(Token, "GET", f"/tokens/{id_}")

    def revoke(self, id_: str) -> None:
        self._session.call(type(None), "DELETE", f"/tokens/{id_}")


class Tenants:
    """For callers with the scope `installation`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, name: str, *, title: str = "") -> Tenant:
        return self._session.call(Tenant, "POST", "/tenants", {"name": name, "title": title})

    def list(self) -> Iterator[Tenant]:
        return self._session.pages(Tenant, "/tenants")

    def get(self, name: str) -> Tenant:
        return self._session.call(Tenant, "GET", f"/tenants/{name}")

    def change(self, name: str, *, title: str | None = None, is_closed: bool | None = None) -> Tenant:
        given = {"title": title, "is_closed": is_closed}
        body = {member: value for member, value in given.items() if value is not None}
        return self._session.call(Tenant, "PATCH", f"/tenants/{name}", body)


class Approvals:
    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, state: str | None = None) -> Iterator[Approval]:
        """Oldest first; `waiting` for what nobody has decided yet."""
        return self._session.pages(Approval, "/approvals", query={"state": state})

    def get(self, id_: str) -> Approval:
        return self._session.call(Approval, "GET", f"/approvals/{id_}")

    def approve(self, id_: str, reason: str = "") -> Approval:
        return self._decide(id_, "approve", reason)

    def refuse(self, id_: str, reason: str = "") -> Approval:
        return self._decide(id_, "refuse", reason)

    def withdraw(self, id_: str, reason: str = "") -> Approval:
        return self._decide(id_, "withdraw", reason)

    def _decide(self, id_: str, how: str, reason: str) -> Approval:
        return self._session.call(Approval, "POST", f"/approvals/{id_}/{how}", {"reason": reason})
