"""The nouns of `/v1`: one file and one line each.

A file has `router = APIRouter(tags=["noun"])` with whole paths below `/v1`. A route takes its caller by the
scope it needs (`caller: Reader`, see `keim.api.access`), its services as `services: Served`, bodies derived
from `Asked`, and answers with a model derived from `Shown` or a `Page` of them. Nouns import no other noun.
"""

from fastapi import APIRouter

from keim.api.routes import (
    approvals,
    audit,
    bootstrap,
    bundles,
    catalogue,
    data_requests,
    devices,
    downloads,
    ecos,
    events,
    exports,
    filters,
    handovers,
    imports,
    invitations,
    login,
    me,
    operations,
    profiles,
    reach,
    tenants,
    tokens,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    approvals.router,
    audit.router,
    bootstrap.router,
    bundles.router,
    catalogue.router,
    data_requests.router,
    devices.router,
    downloads.router,
    ecos.router,
    events.router,
    exports.router,
    filters.router,
    handovers.router,
    imports.router,
    invitations.router,
    login.router,
    me.router,
    operations.router,
    profiles.router,
    reach.router,
    tenants.router,
    tokens.router,
    webhooks.router,
)
