"""The catalogue and its activation codes in the database. Tables of their own (component "codes").

Imports keim.eim.codes and keim.io.store.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from keim.eim.codes.rows import Code, CodeState, Product
from keim.io.store.engine import Conflict, Engine, Entry, Statement, as_json, milliseconds

MIGRATIONS: Final = (
    """
    CREATE TABLE code_products (
        tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (tenant, name)) {clustered};
    CREATE TABLE codes (
        id {serial}, tenant TEXT NOT NULL, product TEXT NOT NULL, text TEXT NOT NULL, state TEXT NOT NULL,
        eid TEXT, until INTEGER, changed_at INTEGER NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL,
        UNIQUE (tenant, text));
    CREATE INDEX codes_of ON codes (tenant, product, state, id);
    CREATE INDEX codes_for ON codes (eid) WHERE eid IS NOT NULL;
    CREATE INDEX codes_in_use ON codes (changed_at) WHERE state = 'in_use';
    CREATE TABLE code_cursors (tenant TEXT PRIMARY KEY, after INTEGER NOT NULL)
    """,
)
_ADD: Final = (
    "INSERT INTO codes (tenant, product, text, state, eid, until, changed_at, version, row)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CHANGE: Final = (
    "UPDATE codes SET state = ?, eid = ?, until = ?, changed_at = ?, version = ?, row = ?"
    " WHERE id = ? AND version = ?"
)
_FREE: Final = "(state = 'free' OR (state = 'reserved' AND until IS NOT NULL AND until <= ?))"


class CodeStore:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._product = msgspec.json.Decoder(Product).decode
        self._code = msgspec.json.Decoder(Code).decode

    async def prepare(self) -> None:
        await self.engine.migrate("codes", MIGRATIONS)

    # the catalogue

    async def add_product(self, product: Product) -> None:
        """`Conflict` if the name is taken."""
        await self.engine.commit(
            [
                Statement(
                    "INSERT INTO code_products (tenant, name, version, row) VALUES (?, ?, ?, ?)",
                    (product.tenant, product.name, product.version, as_json(product)),
                )
            ]
        )

    async def change_product(self, product: Product, entries: Sequence[Entry] = ()) -> None:
        statement = Statement(
            "UPDATE code_products SET version = ?, row = ? WHERE tenant = ? AND name = ? AND version = ?",
            (product.version, as_json(product), product.tenant, product.name, product.version - 1),
            1,
        )
        await self.engine.commit([statement], entries)

    async def remove_product(self, tenant: str, name: str) -> bool:
        """Only without codes that are free, reserved or in use; False if it has some."""
        try:
            await self.engine.commit(
                [
                    Statement(
                        "DELETE FROM code_products WHERE tenant = ? AND name = ? AND NOT EXISTS (SELECT 1"
                        " FROM codes WHERE tenant = ? AND product = ?"
                        " AND state IN ('free', 'reserved', 'in_use'))",
                        (tenant, name, tenant, name),
                        1,
                    ),
                    Statement("DELETE FROM codes WHERE tenant = ? AND product = ?", (tenant, name)),
                ]
            )
        except Conflict:
            return False
        return True

    async def product(self, tenant: str, name: str) -> Product | None:
        rows = await self.engine.fetch(
            "SELECT row FROM code_products WHERE tenant = ? AND name = ?", tenant, name
        )
        return self._product(rows[0][0]) if rows else None

    async def products(self, tenant: str, *, after: str = "", limit: int = 1000) -> list[Product]:
        rows = await self.engine.fetch(
            f"SELECT row FROM code_products WHERE tenant = ? AND name > ? ORDER BY name LIMIT {limit:d}",
            tenant,
            after,
        )
        return [self._product(row[0]) for row in rows]

    async def counts(self, tenant: str, product: str) -> dict[str, int]:
        rows = await self.engine.fetch(
            "SELECT state, COUNT(*) FROM codes WHERE tenant = ? AND product = ? GROUP BY state",
            tenant,
            product,
        )
        return {state: int(count) for state, count in rows}

    # codes

    async def known(self, tenant: str, texts: Sequence[str]) -> set[str]:
        """Those of the texts that are here already."""
        found: set[str] = set()
        for start in range(0, len(texts), 500):
            lot = texts[start : start + 500]
            marks = ", ".join("?" * len(lot))
            rows = await self.engine.fetch(
                f"SELECT text FROM codes WHERE tenant = ? AND text IN ({marks})", tenant, *lot
            )
            found |= {row[0] for row in rows}
        return found

    async def add(self, codes: Sequence[Code]) -> None:
        """All of them or, if one is here already, none (`Conflict`)."""
        await self.engine.commit([Statement(_ADD, _values(code)) for code in codes])

    async def change(self, code: Code) -> None:
        """`Conflict` if somebody was faster."""
        await self.engine.commit(
            [
                Statement(
                    _CHANGE,
                    (
                        code.state.value,
                        code.eid,
                        _until(code),
                        _changed(code),
                        code.version,
                        as_json(code),
                        code.id,
                        code.version - 1,
                    ),
                    1,
                )
            ]
        )

    async def code(self, tenant: str, product: str, id_: int) -> Code | None:
        found = await self._codes("tenant = ? AND product = ? AND id = ?", tenant, product, id_)
        return found[0] if found else None

    async def codes(
        self,
        tenant: str,
        product: str,
        *,
        state: CodeState | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Code]:
        condition = "tenant = ? AND product = ? AND id > ?"
        parameters: list[Any] = [tenant, product, after]
        if state is not None:
            condition += " AND state = ?"
            parameters.append(state.value)
        return await self._codes(f"{condition} ORDER BY id LIMIT {limit:d}", *parameters)

    async def candidates(
        self, tenant: str, product: str, eid: str, now: datetime, *, limit: int = 16
    ) -> list[Code]:
        """Codes that a device may take: first those that wait for it."""
        own = await self._codes(
            "eid = ? AND tenant = ? AND product = ? AND state = 'reserved' ORDER BY id LIMIT 1",
            eid,
            tenant,
            product,
        )
        return own or await self._codes(
            f"tenant = ? AND product = ? AND {_FREE} ORDER BY id LIMIT {limit:d}",
            tenant,
            product,
            milliseconds(now),
        )

    async def free(self, tenant: str, product: str, now: datetime) -> int:
        rows = await self.engine.fetch(
            f"SELECT COUNT(*) FROM codes WHERE tenant = ? AND product = ? AND {_FREE}",
            tenant,
            product,
            milliseconds(now),
        )
        return int(rows[0][0])

    async def in_use(self, *, before: datetime | None = None, limit: int = 1000) -> list[Code]:
        """The longest first; `before` leaves out those that were touched later."""
        if before is None:
            return await self._codes(f"state = 'in_use' ORDER BY changed_at, id LIMIT {limit:d}")
        return await self._codes(
            f"state = 'in_use' AND changed_at < ? ORDER BY changed_at, id LIMIT {limit:d}",
            milliseconds(before),
        )

    async def in_use_by(self, tenant: str, eid: str) -> list[Code]:
        return await self._codes("eid = ? AND tenant = ? AND state = 'in_use'", eid, tenant)

    async def _codes(self, condition: str, *parameters: Any) -> list[Code]:
        rows = await self.engine.fetch(f"SELECT id, row FROM codes WHERE {condition}", *parameters)
        return [msgspec.structs.replace(self._code(row), id=id_) for id_, row in rows]

    # how far the log was read

    async def cursors(self) -> dict[str, int]:
        """By tenant, of those who have codes."""
        rows = await self.engine.fetch(
            "SELECT DISTINCT p.tenant, c.after FROM code_products p"
            " LEFT JOIN code_cursors c ON c.tenant = p.tenant"
        )
        return {tenant: -1 if after is None else int(after) for tenant, after in rows}

    async def news(self, tenant: str, after: int, top: int) -> list[tuple[int, str, str]]:
        """(leaf, EID, kind) of what a stretch of the log says of devices with a code in use."""
        return await self.engine.fetch(
            "SELECT id, eid, kind FROM eim_events WHERE log = ? AND id > ? AND id <= ? AND eid IN"
            " (SELECT eid FROM codes WHERE tenant = ? AND state = 'in_use') ORDER BY id",
            tenant,
            after,
            top,
            tenant,
        )

    async def read_until(self, tenant: str, after: int) -> None:
        await self.engine.commit(
            [
                Statement(
                    "INSERT INTO code_cursors (tenant, after) VALUES (?, ?)"
                    " ON CONFLICT (tenant) DO UPDATE SET after = excluded.after"
                    " WHERE excluded.after > code_cursors.after",
                    (tenant, after),
                )
            ]
        )


def _until(code: Code) -> int | None:
    return None if code.until is None else milliseconds(code.until)


def _changed(code: Code) -> int:
    return milliseconds(code.added_at if code.changed_at is None else code.changed_at)


def _values(code: Code) -> tuple[Any, ...]:
    return (
        code.tenant,
        code.product,
        code.text,
        code.state.value,
        code.eid,
        _until(code),
        _changed(code),
        code.version,
        as_json(code),
    )
