"""A PostgreSQL of the tests' own: in a temporary directory, over a Unix socket, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from itertools import count
from pathlib import Path

from tests.cpu_time import cpu_seconds


def _programs() -> Path:
    found = sorted(glob("/usr/lib/postgresql/*/bin/initdb"))
    return Path(found[-1]).parent if found else Path(shutil.which("initdb") or "initdb").parent


class Cluster:
    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder = folder
        self.user = user
        self._numbers = count(1)

    def run(self, *command: str) -> None:
        subprocess.run(command, user=self.user, cwd=self.folder, check=True, capture_output=True, timeout=60)

    def new_database(self) -> str:
        """The address of an empty database."""
        name = f"test{next(self._numbers)}"
        self.run(str(_programs() / "createdb"), "-h", str(self.folder), "-U", "keim", name)
        return f"postgresql://keim@/{name}?host={self.folder}"

    def sql(self, statement: str) -> None:
        """Of the cluster's master."""
        self.run(str(_programs() / "psql"), "-h", str(self.folder), "-U", "keim", "-c", statement, "postgres")

    def cpu_s(self) -> float:
        """Of all its processes that live."""
        server = (self.folder / "data" / "postmaster.pid").read_text("utf-8").split()[0]
        children = Path(f"/proc/{server}/task/{server}/children").read_text("utf-8").split()
        spent = 0.0
        for process in (server, *children):
            with suppress(OSError):  # it has ended
                spent += cpu_seconds(int(process))
        return spent


def is_installed() -> bool:
    return (_programs() / "initdb").is_file()


@contextmanager
def running() -> Iterator[Cluster]:
    """initdb refuses root, so root lends it to `nobody`."""
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="keim-pg-"))
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    made = Cluster(folder, user)
    programs, data = _programs(), str(folder / "data")
    try:
        made.run(str(programs / "initdb"), "-D", data, "-U", "keim", "--auth=trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses= -c max_connections=50"
        log = str(folder / "log")
        made.run(str(programs / "pg_ctl"), "-D", data, "-l", log, "-o", options, "-w", "start")
        try:
            yield made
        finally:
            made.run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
