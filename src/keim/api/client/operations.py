"""`client.operations`: what is asked of devices, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from keim.api.client.device_models import Cancelled, Operation, Outcome, Target, Terms
from keim.api.client.session import Session, as_text

LONGEST_WAIT_S: Final = 30.0
"""Of one request; longer waits are several."""


class Operations:
    def __init__(self, session: Session) -> None:
        self._session = session

    def order(
        self, commands: Sequence[Mapping[str, Any]], target: Target, terms: Terms | None = None
    ) -> Operation:
        """Commands for profiles: `{"command": "enable", "iccid": "89..."}`."""
        return self.place("/operations", {"commands": list(commands)}, target, terms)

    def eco(
        self, commands: Sequence[Mapping[str, Any]], target: Target, terms: Terms | None = None
    ) -> Operation:
        """Commands for the list of eIMs."""
        return self.place("/ecos", {"commands": list(commands)}, target, terms)

    def download(
        self,
        target: Target,
        terms: Terms | None = None,
        *,
        activation_code: str | None = None,
        smds: str | None = None,
        confirmation_code: str | None = None,
    ) -> Operation:
        """By code, by an SM-DS (empty: the eUICC's root), else from the eUICC's default SM-DP+."""
        body: dict[str, Any] = {"confirmation_code": confirmation_code}
        if activation_code is not None:
            body["activation_code"] = activation_code
        elif smds is not None:
            body["smds"] = smds
        else:
            body["default_smdp"] = True
        return self.place("/downloads", body, target, terms)

    def ask_for_data(
        self, target: Target, terms: Terms | None = None, *, data: Sequence[str] = ()
    ) -> Operation:
        """Empty: everything."""
        return self.place("/data-requests", {"data": list(data)}, target, terms)

    def place(
        self, path: str, body: Mapping[str, Any], target: Target, terms: Terms | None = None
    ) -> Operation:
        """Any request that makes an operation, by its path."""
        return self._session.call(Operation, "POST", path, request_of(body, target, terms))

    def list(self, *, limit: int | None = None) -> Iterator[Operation]:
        """The newest first."""
        return self._session.pages(Operation, "/operations", limit=limit)

    def get(self, id_: str, *, wait_s: float = 0.0) -> Operation:
        """With `wait_s` the answer comes when it has ended, or then."""
        query = {"wait": wait_s or None}
        return self._session.call(Operation, "GET", f"/operations/{id_}", query=query)

    def devices(self, id_: str, *, state: str | None = None) -> Iterator[Outcome]:
        return self._session.pages(Outcome, f"/operations/{id_}/devices", query={"state": state})

    def cancel(self, id_: str, *, reason: str = "") -> Cancelled:
        return self._session.call(Cancelled, "POST", f"/operations/{id_}/cancel", {"reason": reason})

    def wait(
        self,
        id_: str,
        *,
        timeout_s: float | None = None,
        on_change: Callable[[Operation], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Operation:
        """Until it has ended or the time is over: the state tells which. `on_change` is told each news."""
        until = None if timeout_s is None else clock() + timeout_s
        told: dict[str, int] | None = None
        while True:
            left = LONGEST_WAIT_S if until is None else min(max(until - clock(), 0.0), LONGEST_WAIT_S)
            # Of an operation for many every step is news, not only its end.
            operation = self.get(id_, wait_s=left if told is None else min(left, 2.0))
            if operation.counts != told:
                told = operation.counts
                on_change(operation)
            if not operation.is_open or (until is not None and clock() >= until):
                return operation


def request_of(body: Mapping[str, Any], target: Target, terms: Terms | None) -> dict[str, Any]:
    """The whole request; members that say nothing are left out."""
    whole = dict(body)
    for part in (target, terms or Terms()):
        whole |= msgspec.to_builtins(part, enc_hook=as_text)
    return {name: value for name, value in whole.items() if value is not None}
