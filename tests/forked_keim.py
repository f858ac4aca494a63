"""Runs `keim` commands quickly: everything is imported once, then each connection forks one command.

Run as a program with the path of a Unix socket; says `ready` when it listens. CLIENT is a program that is
used like `keim`: it hands its arguments, folder, environment and standard streams over, and ends with the
command's exit code. It is `keim` but for its start, as tests/forked_eim.py is `keim eim serve`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.shared import ROOT

CLIENT = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ["KEIM_FORKED_AT"])
    told = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    told = json.dumps(told).encode()
    socket.send_fds(server, [len(told).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(told)
    code = server.recv(1)
sys.exit(code[0] if code else 1)
"""


@contextmanager
def running() -> Iterator[str]:
    """Where it listens. It ends when its standard input does, so also when the tests are killed."""
    with (
        tempfile.TemporaryDirectory(prefix="keim-") as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.forked_keim", f"{folder}/socket"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield f"{folder}/socket"


def _warm() -> None:
    """What commands import, and the API's routes, which take longer than most commands."""
    import keim.cli.program  # noqa: F401 - for its imports
    from keim.api.application import routes
    from keim.api.client import local  # noqa: F401 - for its imports
    from keim.io import card_server  # noqa: F401 - for its imports

    routes()


def _read(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    wanted, text = int.from_bytes(head, "big"), b""
    while len(text) < wanted:
        text += connection.recv(wanted - len(text))
    return json.loads(text), streams


def _command(connection: socket.socket) -> None:
    from keim.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told, streams = _read(connection)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.argv = ["keim", *told["arguments"]]
    code: object = 1
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes((code if isinstance(code, int) else int(code is not None),)))


def serve(where: str) -> None:
    _warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where)
        listener.listen(64)
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _command(connection)
                    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
