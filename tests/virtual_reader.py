"""A PC/SC daemon of our own with vsmartcard's virtual reader, for tests that go the whole way from a
reader to a card.

One at a time on a machine (PC/SC has one socket): a lock makes test processes take turns. Needs root,
pcscd, vpcd's library and pyscard (tests/system_packages.toml); a test is skipped with the reason where
one is missing.
"""

from __future__ import annotations

import fcntl
import glob
import os
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

LIBRARIES = (
    "/usr/lib/pcsc/drivers/serial/libifdvpcd.so*",
    "/usr/lib/*/libifdvpcd.so*",
    "/usr/lib/*/pcsc/drivers/serial/libifdvpcd.so*",
)
READY = "daemon ready"
PATIENCE_S = 20.0


class VirtualReader(NamedTuple):
    name: str
    port: int
    """Where vpcd listens for its card."""


MACHINES_OWN = VirtualReader("Virtual PCD 00 00", 35963)


def missing() -> str:
    """Why there can be no virtual reader here; empty when there can."""
    if shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return "pcscd is not installed"
    if not _library():
        return "vsmartcard-vpcd is not installed"
    if os.geteuid() != 0:
        return "pcscd needs root"
    try:
        import smartcard  # noqa: F401 - only whether it is there
    except ImportError:
        return "pyscard is not installed"
    return ""


def _library() -> str:
    return next((path for pattern in LIBRARIES for path in sorted(glob.glob(pattern))), "")


@contextmanager
def virtual_reader() -> Iterator[VirtualReader]:
    """A running pcscd whose only reader is the virtual one, empty."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as folder, _turn():
        port = _free_port()
        configuration = Path(folder) / "reader.conf"
        configuration.write_text(
            f'FRIENDLYNAME "keim test"\nDEVICENAME /dev/null:0x{port:04X}\n'
            f"LIBPATH {_library()}\nCHANNELID 0x{port:04X}\n"
        )
        daemon = _start(configuration)
        if daemon is None:
            yield _reader_of_the_machine()
            return
        try:
            yield VirtualReader("keim test 00 00", port)
        finally:
            daemon.terminate()
            daemon.wait(PATIENCE_S)


def _reader_of_the_machine() -> VirtualReader:
    """Another pcscd runs: its virtual reader will do, if it has one as Debian configures it."""
    from smartcard.System import readers

    if MACHINES_OWN.name not in map(str, readers()):
        pytest.skip("another pcscd without a virtual reader runs on this machine")
    return MACHINES_OWN


@contextmanager
def _turn() -> Iterator[None]:
    """Blocks until no other test process runs a pcscd of ours."""
    with (Path(tempfile.gettempdir()) / "keim-test-pcscd.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _start(configuration: Path) -> subprocess.Popen[str] | None:
    """Returns when the daemon says that it is ready; None when another one runs on this machine."""
    daemon = subprocess.Popen(
        ["pcscd", "--foreground", "--info", "--config", str(configuration)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_drain, args=(daemon, lines), daemon=True).start()
    said = []
    while (line := lines.get(timeout=PATIENCE_S)) is not None:
        said.append(line)
        if READY in line:
            return daemon
    daemon.wait(PATIENCE_S)
    if any("seems to be running" in line for line in said):
        return None
    raise AssertionError("pcscd did not start: " + "".join(said))


def _drain(daemon: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert daemon.stdout is not None
    with daemon.stdout:
        for line in daemon.stdout:
            lines.put(line)
    lines.put(None)
