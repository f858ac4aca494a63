"""`/v1/audit`: the tenant's log for whoever does not believe us: checkpoints, leaves with proofs, tiles."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from keim.api.access import Reader
from keim.api.context import Served
from keim.api.models import Shown
from keim.audit.export import export
from keim.audit.tiles import TILE_WIDTH, Tile
from keim.errors import Refused
from keim.io.eim_store.log import Source

router = APIRouter(tags=["audit"])

OCTETS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}
"""As OpenAPI has it; FastAPI's own type of it."""
EMPTY_ROOT: Final = sha256(b"").digest()

Index = Annotated[int, Path(ge=0, lt=1 << 62, examples=[4711])]


class ShownCheckpoint(Shown):
    origin: str = Field(description="The name of the log.")
    size: int
    root: str = Field(description="Hash of the tree, hexadecimal.")
    note: str | None = Field(
        description="The signed note (C2SP tlog-checkpoint) that says so; null while the log is empty."
    )
    key: str = Field(description="The key that signs it (C2SP signed-note).")


class Consistency(Shown):
    old: int
    new: int
    hashes: list[str] = Field(description="RFC 6962, hexadecimal.")


@router.get("/audit/checkpoint")
async def show_checkpoint(caller: Reader, services: Served) -> ShownCheckpoint:
    """The latest checkpoint of the log: it commits to every event up to its size."""
    log = services.logs.of(caller.tenant)
    found = await log.latest() or await services.logs.publisher.publish(caller.tenant)
    if found is None:
        return ShownCheckpoint(
            origin=log.key.name, size=0, root=EMPTY_ROOT.hex(), note=None, key=log.key.text
        )
    point = found.point
    return ShownCheckpoint(
        origin=point.origin,
        size=point.size,
        root=point.root.hex(),
        note=found.note.decode(),
        key=log.key.text,
    )


@router.get("/audit/leaves/{leaf_index}", response_class=Response, responses=OCTETS)
async def show_leaf(leaf_index: Index, caller: Reader, services: Served) -> Response:
    """The octets of one leaf (DER)."""
    leaf = await services.logs.of(caller.tenant).leaf(leaf_index)
    return Response(leaf, media_type="application/octet-stream")


@router.get("/audit/leaves/{leaf_index}/proof", response_class=Response, responses=TEXT)
async def prove_leaf(leaf_index: Index, caller: Reader, services: Served) -> Response:
    """One leaf with all that it takes to check it: a file for `keim audit verify` (C2SP tlog-proof)."""
    log = services.logs.of(caller.tenant)
    proof = await log.proof(leaf_index, roots=[root.der for root in services.world.roots])
    return Response(proof.octets, media_type="text/plain; charset=utf-8")


@router.get("/audit/consistency")
async def prove_consistency(
    caller: Reader,
    services: Served,
    old: Annotated[int | None, Query(ge=1, lt=1 << 62, description="Absent: as `new`.")] = None,
    new: Annotated[int | None, Query(ge=1, lt=1 << 62, description="Absent: all of now.")] = None,
) -> Consistency:
    """That the log of `new` leaves begins with the log of `old` leaves."""
    log = services.logs.of(caller.tenant)
    size = await log.size()
    new = size if new is None else new
    old = new if old is None else old
    if not old <= new <= size:
        raise Refused("`old` must not be beyond `new`, nor `new` beyond the log", code="audit.leaf_not_found")
    hashes = await log.consistency(old, new) if old < new else ()
    return Consistency(old=old, new=new, hashes=[one.hex() for one in hashes])


@router.get("/audit/tile", response_class=Response, responses=OCTETS)
async def show_tile(
    caller: Reader,
    services: Served,
    level: Annotated[
        str, Query(pattern="^(entries|[0-6])$", description="`entries`: the leaves themselves.")
    ] = "0",
    index: Annotated[int, Query(ge=0, lt=1 << 54)] = 0,
    width: Annotated[
        int | None, Query(ge=1, le=TILE_WIDTH, description="Absent: as wide as the log has it now.")
    ] = None,
) -> Response:
    """A tile of hashes, or the entries of one (C2SP tlog-tiles); empty where there is nothing of it yet."""
    log = services.logs.of(caller.tenant)
    height = None if level == "entries" else int(level)
    if width is None:
        there = (await log.size() >> 8 * (height or 0)) - index * TILE_WIDTH
        width = max(0, min(there, TILE_WIDTH))
    octets = await log.tile(Tile(height, index, width)) if width else b""
    return Response(octets, media_type="application/octet-stream")


@router.get("/audit/export", response_class=Response, responses=OCTETS)
async def export_log(caller: Reader, services: Served) -> StreamingResponse:
    """The log up to its latest checkpoint as one file that `keim audit verify` takes, without this server."""
    log = services.logs.of(caller.tenant)
    if await log.latest() is None and await services.logs.publisher.publish(caller.tenant) is None:
        raise Refused("the log is empty", code="audit.no_checkpoint")
    loop = asyncio.get_running_loop()

    def run(question: Coroutine[Any, Any, Any]) -> Any:
        """From the thread that makes the file, to the loop that has the database."""
        return asyncio.run_coroutine_threadsafe(question, loop).result()

    pieces = export(Source(log, run), roots=[root.der for root in services.world.roots])
    return StreamingResponse(
        pieces, media_type="application/octet-stream", headers={"Cache-Control": "private, no-store"}
    )
