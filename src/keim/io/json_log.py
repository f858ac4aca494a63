"""What a server logs, as one JSON object a line on stderr.

A message that is a JSON object itself gives its members; anything else is `message`. Standard library only.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final, TextIO

LEVELS: Final = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, Any] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_members(record.getMessage()),
        }
        if record.exc_info and record.levelno >= logging.ERROR:  # a warning needs no trace
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def _members(message: str) -> dict[str, Any]:
    if message.startswith("{"):
        try:
            found = json.loads(message)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
    return {"message": message}


def log_as_json(level: str = "info", stream: TextIO | None = None) -> None:
    """Everything that this process logs from now on; what other libraries chatter only from warnings on."""
    output = logging.StreamHandler(stream)
    output.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(logging.WARNING)
    logging.getLogger("keim").setLevel(level.upper())
