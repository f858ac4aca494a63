"""The programs of a simulated world: the real commands, as child processes in this process group.

A server says in one JSON document that it listens, and where. It ends with its parent, also when the parent
is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from keim.errors import TimedOut, Unreachable, WorldError

START_S: Final = 30.0
STOP_S: Final = 15.0
COMMAND_S: Final = 300.0
PR_SET_PDEATHSIG: Final = 1


def run_keim(*arguments: str, may_fail: bool = False) -> dict[str, Any]:
    """A command to its end: the JSON document on its stdout, with `may_fail` also one of bad news."""
    command = [sys.executable, "-m", "keim.cli", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=COMMAND_S
    )
    if done.returncode and not (may_fail and done.stdout.strip()):
        raise WorldError(
            f"keim {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}",
            code="sim.command_failed",
        )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _ends_with_parent() -> Callable[[], None] | None:
    """Linux tells a child when its parent dies; elsewhere a killed parent leaves its servers behind."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    return lambda: library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class ServerProcess:
    """`keim NOUN serve ...`, its errors in a file of its own."""

    def __init__(self, noun: str, arguments: tuple[str, ...], log: Path) -> None:
        self.noun, self._arguments, self._log = noun, arguments, log
        self._process: subprocess.Popen[str] | None = None
        self.listen: dict[str, tuple[str, int]] = {}

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """In the main thread: where a thread ends, its children are told that their parent did."""
        command = [sys.executable, "-m", "keim.cli", self.noun, "serve", "--json", *self._arguments]
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                process_group=0,  # Ctrl-C in a terminal is for the world, which then ends its servers once
                preexec_fn=_ends_with_parent(),  # noqa: PLW1509 - one system call, no lock of ours is taken
            )

    def await_ready(self) -> None:
        assert self._process is not None  # it was launched
        document = self._first_document(self._process)
        self.listen = {name: _endpoint(where) for name, where in document["listen"].items()}

    def _first_document(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """What it says when it listens; its later words are for nobody."""
        assert process.stdout is not None
        silence = threading.Timer(START_S, process.kill)
        silence.start()
        text = ""
        try:
            for line in process.stdout:
                text += line
                if line.startswith("}"):
                    document: dict[str, Any] = json.loads(text)
                    threading.Thread(target=process.stdout.read, daemon=True).start()
                    return document
        finally:
            silence.cancel()
        process.wait()
        last = self._log.read_text("utf-8").strip().splitlines()[-3:]
        why = " | ".join(last) or f"exit code {process.returncode}"
        if process.returncode == -signal.SIGKILL:
            raise TimedOut(f"keim {self.noun} did not start in time: {why}", code="sim.server_failed")
        raise Unreachable(f"keim {self.noun} did not start: {why}", code="sim.server_failed")

    def start_again(self) -> None:
        """At the addresses where it was."""
        options = {"es9+": "--listen", "es11": "--listen", "esipa": "--listen", "status": "--status-listen"}
        options |= {"es2+": "--operators-listen", "es12": "--servers-listen"}
        given = list(self._arguments)
        for name, (host, port) in self.listen.items():
            if (option := options.get(name)) in given:
                given[given.index(option) + 1] = f"{host}:{port}"
        self._arguments = tuple(given)
        self.launch()
        self.await_ready()

    def kill(self) -> None:
        """As in a power failure."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Gracefully; what does not end in time is killed."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL


def _endpoint(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port)
