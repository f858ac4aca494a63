"""Local control of a running IPA: one word per connection on a Unix socket, one line of JSON back.

Who may open the socket file (mode 0600) may control the device; there is no other authorisation. Imports
keim.errors only.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keim.errors import Refused, TimedOut, Unreachable

LONGEST_WORD = 64
ANSWER_S = 900.0
"""A local switch waits for the network (T_attach) before it answers."""


@dataclass
class Command:
    """A word that came in; whoever carries it out answers once."""

    word: str
    _answered: threading.Event = field(default_factory=threading.Event)
    _answer: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, document: Mapping[str, Any]) -> None:
        self._answer = document
        self._answered.set()

    def wait(self) -> Mapping[str, Any]:
        if not self._answered.wait(ANSWER_S):
            return {"error": "the IPA is busy"}
        return self._answer


class ControlSocket:
    """Listens in a thread; commands wait in `commands` until the IPA has time."""

    def __init__(self, path: Path, commands: queue.Queue[Any]) -> None:
        self.path = path
        self._commands = commands
        _clear_place(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        previous = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        except OSError as fault:
            raise Refused(f"{path}: {fault.strerror}", code="ipa.control_unusable") from fault
        finally:
            os.umask(previous)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, name="ipa-control", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve_one, args=(connection,), daemon=True).start()

    def _serve_one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10.0)
            word = connection.recv(LONGEST_WORD).decode("ascii", "replace").strip()
            command = Command(word)
            self._commands.put(command)
            connection.sendall(json.dumps(command.wait()).encode() + b"\n")

    def close(self) -> None:
        self._listener.close()
        with suppress(FileNotFoundError):
            self.path.unlink()


def _clear_place(path: Path) -> None:
    """A socket that a killed IPA left behind goes; one that answers, or another file, stays."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return  # nothing is there, or `bind` will say what is wrong
    if not is_socket:
        raise Refused(f"{path} is there already and is no socket", code="ipa.control_unusable")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError as fault:
            raise Refused(f"{path}: {fault.strerror or fault}", code="ipa.control_unusable") from fault
        else:
            raise Refused(f"an IPA listens at {path} already", code="ipa.already_running")


def ask_running_ipa(path: Path, word: str) -> dict[str, Any]:
    """Sends one word to the IPA that listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(path))
            connection.sendall(word.encode() + b"\n")
            octets = b""
            while not octets.endswith(b"\n"):
                part = connection.recv(65_536)
                if not part:
                    break
                octets += part
        except TimeoutError as late:
            raise TimedOut("the running IPA did not answer", code="ipa.peer_silent") from late
        except OSError as fault:
            raise Unreachable(
                f"no IPA listens at {path}: {fault.strerror}", code="ipa.control_unusable"
            ) from fault
    found: dict[str, Any] = json.loads(octets or b"{}")
    return found
