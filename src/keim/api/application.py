"""`build`: from services to the ASGI application: the routes inside of the edge."""

from __future__ import annotations

import json
from functools import cache

from fastapi import FastAPI, Response

from keim.api import refusals
from keim.api.context import Caller, Services
from keim.api.contract import Contract
from keim.api.edge import Edge
from keim.api.openapi import document_of
from keim.api.routes import ROUTERS


def build(services: Services, *, as_caller: Caller | None = None) -> Edge:
    """With `as_caller` no token is asked for: for a program that holds the database itself."""
    application = routes()
    return Edge(application, services, Contract(application.openapi()), as_caller=as_caller)


@cache
def routes() -> FastAPI:
    """All routes with their OpenAPI; the services come with each request, from the edge."""
    application = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    refusals.install(application)
    for router in ROUTERS:
        application.include_router(router, prefix="/v1")

    @application.get("/v1/openapi.json", tags=["about"], response_class=Response)
    async def openapi() -> Response:
        """This document."""
        return Response(octets, media_type="application/json")

    document = document_of(application)
    octets = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return application
