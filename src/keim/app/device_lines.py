"""A tenant's devices as `keim import devices` reads them: what an export writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from keim.app.eim_service import EimService
from keim.app.tenant_bundle import DeviceLine
from keim.eim.rows import Device, Knowledge

LOT: Final = 500
COLUMNS: Final = ("eid", "token", "counter", "tags", "euicc_certificate", "eum_certificate", "signer")
_DEVICES: Final = (
    "SELECT d.ordinal, d.row, k.row FROM eim_devices d LEFT JOIN eim_knowledge k ON k.eid = d.eid"
    f" WHERE d.tenant = ? AND d.ordinal > ? ORDER BY d.ordinal LIMIT {LOT:d}"
)
_TAGS: Final = (
    "SELECT ordinal, tag FROM eim_tags WHERE tenant = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal, tag"
)


class Exported(NamedTuple):
    ordinal: int
    device: Device
    line: DeviceLine


class DeviceLines:
    def __init__(self, service: EimService, tenant: str) -> None:
        self._engine = service.store.engine
        self._tenant = tenant
        self._oldest = next(iter(service.eim.signers))
        self._device = msgspec.json.Decoder(Device).decode
        self._knowledge = msgspec.json.Decoder(Knowledge).decode

    async def lot(self, after: int) -> list[Exported]:
        """The devices behind the one with this ordinal; empty at the end. Begin with -1."""
        rows = await self._engine.fetch(_DEVICES, self._tenant, after)
        if not rows:
            return []
        tags: dict[int, list[str]] = {}
        for ordinal, tag in await self._engine.fetch(_TAGS, self._tenant, rows[0][0], rows[-1][0]):
            tags.setdefault(ordinal, []).append(tag)
        return [
            self._exported(ordinal, self._device(row), known, tags.get(ordinal, ()))
            for ordinal, row, known in rows
        ]

    def _exported(self, ordinal: int, device: Device, known: str | None, tags: Sequence[str]) -> Exported:
        euicc = eum = None
        if known is not None:
            knowledge = self._knowledge(known)
            if knowledge.euicc_certificate and knowledge.eum_certificate:
                euicc, eum = knowledge.euicc_certificate.hex(), knowledge.eum_certificate.hex()
        line = DeviceLine(
            eid=device.eid,
            token=device.token,
            counter=device.counter,
            tags=tuple(tags),
            euicc_certificate=euicc,
            eum_certificate=eum,
            signer=device.signer or self._oldest,
        )
        return Exported(ordinal, device, line)


def as_json_lines(lines: Sequence[DeviceLine]) -> bytes:
    return msgspec.json.Encoder().encode_lines(lines)


def as_csv(lines: Sequence[DeviceLine], *, has_header: bool) -> bytes:
    """A cell that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if has_header:
        writer.writerow(COLUMNS)
    for line in lines:
        members = msgspec.structs.asdict(line) | {"tags": "|".join(line.tags)}
        writer.writerow([_safe(members[name]) for name in COLUMNS])
    return text.getvalue().encode()


def _safe(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
