"""The operator at the eIM's API, with the client and the token that anybody would use."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from keim.api.client import Client
from keim.api.idempotency import reference_of
from keim.eim.rows import MAIN
from keim.errors import Refused
from keim.sim.home import Home
from keim.sim.operator import Outcome

T = TypeVar("T")


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an operation at its one device."""

    state: str
    outcome: tuple[str, ...] = ()
    counter: int | None = None
    sequence_number: int | None = None
    is_proved: bool = False


class _Operation(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: str
    outcome: _Told | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    type: str


class ApiOperator:
    """From any thread, one call at a time: a client has one connection."""

    def __init__(self, client: Client) -> None:
        self._session = client.session
        self._lock = threading.Lock()

    def _call(
        self,
        kind: type[T],
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        key: str | None = None,
    ) -> T:
        with self._lock:
            return self._session.call(kind, method, path, body, key=key)

    def is_known(self, eid: str) -> bool:
        try:
            device = self._call(dict[str, Any], "GET", f"/devices/{eid}")
        except Refused as refused:
            if refused.code == "eim.device_unknown":
                return False
            raise
        return bool(device["association"]["is_key_proved"])

    def order(self, eid: str, commands: Sequence[dict[str, object]], reference: str) -> None:
        self._place("/operations", {"eid": eid, "commands": list(commands)}, reference)

    def download(self, eid: str, activation_code: str | None, reference: str) -> None:
        source = {"smds": ""} if activation_code is None else {"activation_code": activation_code}
        self._place("/downloads", {"eid": eid, **source}, reference)

    def _place(self, path: str, body: dict[str, object], reference: str) -> None:
        self._call(_Operation, "POST", path, body, key=reference)

    def outcome(self, eid: str, reference: str) -> Outcome | None:
        del eid  # the operation says it
        path = f"/operations/{reference_of(MAIN, reference)}"
        try:
            found = self._call(_Operation, "GET", path)
        except Refused as refused:
            if refused.code == "eim.order_unknown":
                return None
            raise
        told = found.outcome
        if told is None:
            return Outcome(state=found.state)
        return Outcome(
            state=told.state,
            told=told.outcome,
            counter=told.counter,
            sequence_number=told.sequence_number,
            is_verified=told.is_proved,
        )

    def events(self, eid: str) -> list[str]:
        with self._lock:
            return [event.type for event in self._session.pages(_Event, "/events", query={"device": eid})]


def connect(home: Home, where: tuple[str, int]) -> ApiOperator:
    return ApiOperator(Client(f"http://{where[0]}:{where[1]}", token=home.token))
