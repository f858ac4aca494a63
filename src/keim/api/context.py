"""What a route works with: one struct of services, and who calls.

Imports no routes.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import Depends, Request

from keim.api.people import People
from keim.app.code_setup import CodesAtWork
from keim.app.eim import EimConfig
from keim.app.eim_logs import EimLogs
from keim.app.eim_reaching import Reaching
from keim.app.eim_service import EimService
from keim.app.handover.both_sides import Handovers
from keim.app.operators import ApiConfig
from keim.app.webhook_setup import WebhooksAtWork
from keim.io.api_store import ApiStore
from keim.io.api_store.rows import Scope
from keim.io.eim_store import EimStore
from keim.io.filter_store import FilterStore
from keim.pki.world import World
from keim.seams import Clock, Entropy


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Made once by `keim.api.program`; a noun that needs a service of its own adds a member."""

    eim: EimService
    api: ApiStore
    people: People
    webhooks: WebhooksAtWork
    codes: CodesAtWork
    config: EimConfig
    first_world: World
    """The PKI that this began with."""
    filters: FilterStore
    reaching: Reaching
    logs: EimLogs
    handovers: Handovers
    """Of the tenants: checkpoints, proofs and tiles."""
    stopping: asyncio.Event
    """Set when the server ends: answers that go on for ever (feeds) end then."""

    @property
    def world(self) -> World:
        """The PKI as it is now: certificates and keys are exchanged while the eIM serves."""
        return self.eim.world or self.first_world

    @property
    def store(self) -> EimStore:
        return self.eim.store

    @property
    def clock(self) -> Clock:
        return self.eim.clock

    @property
    def entropy(self) -> Entropy:
        return self.eim.entropy

    @property
    def settings(self) -> ApiConfig:
        return self.config.api


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, for which tenant, and what they may do. `actor` is what events and rows are told."""

    tenant: str
    actor: str
    """`token:<id>`, or `person:<name>@<provider>` as their identity provider calls them."""
    scopes: frozenset[Scope]
    key: str
    """What limits of rate are counted by."""
    token: str = ""
    """The id of the token; empty for people who came through an identity provider."""

    @property
    def is_of_installation(self) -> bool:
        return Scope.INSTALLATION in self.scopes


SERVICES = "keim.services"
CALLER = "keim.caller"
IDEMPOTENCY_KEY = "keim.idempotency_key"
REQUEST_ID = "keim.request_id"
"""Names in an ASGI scope's `state`, written by `keim.api.edge`."""


def services_of(request: Request) -> Services:
    found: Services = request.scope["state"][SERVICES]
    return found


Served = Annotated[Services, Depends(services_of)]
