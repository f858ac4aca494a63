"""Trouble that comes with every request, told once a minute: what it is, why, and how often it was not told.

Time is an argument. Imports keim.errors only.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from keim.errors import KeimError

QUIET_S: Final = 60.0


class TroubleLog:
    """A line for each kind of trouble in `QUIET_S`; the facts that tell kinds apart must be few."""

    def __init__(self, logger: logging.Logger, event: str) -> None:
        self._logger = logger
        self._event = event
        self._quiet_until: dict[tuple[str, ...], float] = {}
        self._untold: dict[tuple[str, ...], int] = {}

    def tell(self, error: KeimError, now_s: float, **facts: str) -> None:
        kind = (error.code, *facts.values())
        if now_s < self._quiet_until.get(kind, now_s):
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return
        self._quiet_until[kind] = now_s + QUIET_S
        told: dict[str, str | int] = {"event": self._event, **facts, "code": error.code, "reason": str(error)}
        if untold := self._untold.pop(kind, 0):
            told["untold"] = untold
        self._logger.error(json.dumps(told))
