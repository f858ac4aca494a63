"""`Client`: the API's nouns as methods.

    with Client("https://eim.example.com:8454", token="keim_...") as client:
        for webhook in client.webhooks.list():
            print(webhook.url, webhook.state)

Blocking; standard library only. Refusals are exceptions of `keim.errors` with the server's `code`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from keim.api.client.access import Approvals, Tenants, Tokens
from keim.api.client.catalogue import Catalogue
from keim.api.client.devices import Devices, Events
from keim.api.client.handovers import Handovers, Invitations
from keim.api.client.http_transport import TIMEOUT_S, HttpTransport
from keim.api.client.models import Bootstrap, BundleReport, ImportReport, Me, WayIn, WaysIn
from keim.api.client.operations import Operations
from keim.api.client.session import Session
from keim.api.client.transport import Stream, Transport
from keim.api.client.webhooks import Webhooks


class Client:
    """`tenant` is for tokens of the whole installation, which may act for any."""

    def __init__(
        self,
        url: str = "",
        *,
        token: str = "",
        tenant: str = "",
        ca_file: str | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: Transport | None = None,
    ) -> None:
        carrier = transport or HttpTransport(url, ca_file=ca_file, timeout_s=timeout_s)
        self.session = Session(carrier, token=token, tenant=tenant)
        self.webhooks = Webhooks(self.session)
        self.catalogue = Catalogue(self.session)
        self.tokens = Tokens(self.session)
        self.tenants = Tenants(self.session)
        self.approvals = Approvals(self.session)
        self.devices = Devices(self.session)
        self.operations = Operations(self.session)
        self.events = Events(self.session)
        self.handovers = Handovers(self.session)
        self.invitations = Invitations(self.session)

    def me(self) -> Me:
        return self.session.call(Me, "GET", "/me")

    def ways_in(self) -> tuple[WayIn, ...]:
        """The identity providers that people sign in by; needs no token."""
        return self.session.call(WaysIn, "GET", "/login").items

    def import_devices(
        self,
        pieces: Iterable[bytes],
        *,
        media_type: str = "text/csv",
        length: int | None = None,
        is_rehearsal: bool = False,
        skips_known: bool = False,
        accepts_check_digits: bool = False,
        tags: Sequence[str] = (),
    ) -> ImportReport:
        """A file of devices in pieces; `text/csv` or `application/x-ndjson`."""
        query = {
            "dry_run": is_rehearsal or None,
            "skip_known": skips_known or None,
            "accept_bad_check_digits": accepts_check_digits or None,
            "tag": list(tags) or None,
        }
        return self.session.upload(
            ImportReport, "/imports/devices", pieces, media_type=media_type, length=length, query=query
        )

    def export_devices(self, form: str = "jsonl") -> Stream:
        """As `import_devices` reads them: `jsonl` or `csv`; read it in pieces, then close it."""
        return self.session.download("/exports/devices", query={"form": form})

    def export_log(self) -> Stream:
        """The tenant's audit log as one file; read it in pieces, then close it."""
        return self.session.download("/audit/export")

    def export_bundle(self) -> Stream:
        """What the tenant owns, signed; read it in pieces, then close it."""
        return self.session.download("/exports/bundle", method="POST")

    def import_bundle(
        self,
        pieces: Iterable[bytes],
        *,
        length: int | None = None,
        is_rehearsal: bool = False,
        accepts_other_keys: bool = False,
        signed_by: str = "",
    ) -> BundleReport:
        """`signed_by`: SHA-256 of the certificate of another eIM that is trusted with this."""
        query = {
            "dry_run": is_rehearsal or None,
            "accept_other_keys": accepts_other_keys or None,
            "signed_by": signed_by or None,
        }
        return self.session.upload(
            BundleReport,
            "/imports/bundle",
            pieces,
            media_type="application/octet-stream",
            length=length,
            query=query,
        )

    def bootstrap(self, *, batch: str = "", counter: int = 0, block: int | None = None) -> Bootstrap:
        query = {"batch": batch or None, "counter": counter, "block": block}
        return self.session.call(Bootstrap, "GET", "/bootstrap", query=query)

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
