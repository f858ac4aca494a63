"""How an installation ends early: an exception that carries what the result will say."""

from __future__ import annotations

from keim.messages.notification import BppCommandId, ErrorReason


class InstallationRefused(Exception):
    """Never leaves the card, so it is no `KeimError`: `install.stream` makes an installation result of it."""

    def __init__(
        self, command: BppCommandId, reason: ErrorReason, sima_response: bytes | None = None
    ) -> None:
        super().__init__(f"{command.name}: {reason.name}")
        self.command = command
        self.reason = reason
        self.sima_response = sima_response
