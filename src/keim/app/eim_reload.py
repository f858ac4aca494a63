"""What an eIM reads anew while it works: its PKI, when SIGHUP says so or when its files have changed.

New TLS certificates go into the contexts that are in use, so open connections and session tickets live on;
signing keys and revocation lists come with them. What is broken is told and changes nothing.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from keim.errors import KeimError
from keim.io.pki_files import MANIFEST, files_of, load_world
from keim.pki.world import World

LOOK_S: Final = 60.0
Renew = Callable[[World, datetime], datetime]
"""Puts a listener's new certificate in use, or refuses it; returns when that one ends."""
Stamp = tuple[tuple[str, int, int, int], ...]

_log = logging.getLogger("keim.eim")


def stamp_of(folder: Path) -> Stamp:
    """What tells the files of a PKI from what they were."""
    try:
        files = files_of(folder)
    except KeimError:
        files = (folder / MANIFEST,)
    return tuple(_of_file(path) for path in files)


def _of_file(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino


class PkiWatch:
    """`seen` is the stamp of what is in use; `take` is given each world that could be read."""

    def __init__(
        self,
        folder: Path,
        seen: Stamp,
        *,
        renew: Mapping[str, Renew],
        take: Callable[[World], None],
        now: Callable[[], datetime],
    ) -> None:
        self._folder, self._seen = folder, seen
        self._renew, self._take, self._now = renew, take, now
        self.outcomes: Counter[str] = Counter()
        self.valid_until: dict[str, int] = {}
        """Listener -> the end of its certificate, in seconds since 1970."""

    @property
    def seen(self) -> Stamp:
        return self._seen

    def note(self, until: datetime) -> None:
        """The end of the certificate that the listeners began with."""
        self.valid_until = dict.fromkeys(self._renew, int(until.timestamp()))

    async def look(self) -> None:
        """Cheap: the files are read only when they have changed."""
        self.look_now()

    def look_now(self) -> None:
        if stamp_of(self._folder) != self._seen:
            self.reload()

    def reload(self) -> bool:
        """Whether everything was taken. What was refused is looked at again when its files change."""
        self._seen = stamp_of(self._folder)
        try:
            world = load_world(self._folder)
            self._take(world)
        except KeimError as error:
            self._tell("pki_refused", "", error)
            return False
        results = [self._renewed(name, world) for name in self._renew]
        return all(results)

    def _renewed(self, name: str, world: World) -> bool:
        try:
            until = self._renew[name](world, self._now())
        except KeimError as error:
            self._tell("certificate_refused", name, error)
            return False
        self.valid_until[name] = int(until.timestamp())
        self.outcomes["loaded"] += 1
        _log.info(
            json.dumps({"event": "certificate_loaded", "listener": name, "valid_until": until.isoformat()})
        )
        return True

    def _tell(self, event: str, listener: str, error: KeimError) -> None:
        self.outcomes["failed"] += 1
        told = {"event": event, "listener": listener, "code": error.code, "message": str(error)}
        _log.error(json.dumps({key: value for key, value in told.items() if value}))

    def gauges(self) -> dict[str, Mapping[str, int]]:
        counts = {"loaded": 0, "failed": 0, **self.outcomes}
        return {
            "keim_eim_pki_reloads{result": counts,
            "keim_eim_certificate_valid_until_seconds{listener": self.valid_until,
        }
