"""What a TLS connection costs the server: a full handshake, and one that resumes a session.

TLS 1.2 is measured with several `openssl s_time` at once, which open connections as fast as the server takes
them: with fewer the server sleeps between two messages, and much of the figure is its waking up. They resume
nothing in TLS 1.3, which is therefore measured with connections of our own, and is on the high side.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.eim_peers import Child, serving
from benchmarks.timing import sized
from keim.app.eim import EimConfig
from keim.messages import esipa as m
from keim.pki.world import World, example_eids

CONNECTIONS = sized(300, 5)
CLIENTS = sized(4, 1)
ROUNDS = sized(3, 1)
_POLL = m.GetEimPackageRequest(eid_value=next(iter(example_eids(1, "89990001"))).octets).encode()
_REQUEST = (
    b"POST /gsma/rsp2/asn1 HTTP/1.1\r\nHost: eim.example.com\r\nContent-Type: application/x-gsma-rsp-asn1\r\n"
    b"X-Admin-Protocol: gsma/rsp/v2.1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(_POLL), _POLL)
)


def measure(config: EimConfig, world: World, core: int) -> dict[str, Any]:
    server = Child(serving(config), core)
    try:
        measured = {"TLSv1.3": _own(server, world)}
        if shutil.which("openssl") is None:
            print("TLSv1.2: the program openssl is not installed; left out", file=sys.stderr)
            return measured
        return {"TLSv1.2": _with_openssl(server)} | measured
    finally:
        server.end()


def _with_openssl(server: Child) -> dict[str, float]:
    """The two ways in turn, and the median of each."""
    rounds = [(_s_time(server, "-new"), _s_time(server, "-reuse")) for _ in range(ROUNDS)]
    full, resumed = (round(statistics.median(way), 1) for way in zip(*rounds, strict=True))
    return {"full_us": full, "resumed_us": resumed, "ratio": round(resumed / full, 3)}


def _s_time(server: Child, way: str) -> float:
    """Microseconds of the server for one connection."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{server.port}", way, "-time", "1", "-tls1_2"]
    before = server.cpu_s()
    clients = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"LC_ALL": "C"})
        for _ in range(CLIENTS)
    ]
    told = [client.communicate(timeout=60)[0] for client in clients]
    time.sleep(0.2)  # the last ones are closed
    cpu_s = server.cpu_s() - before
    return cpu_s / sum(_connections(text, way) for text in told) * 1e6


def _connections(told: str, way: str) -> int:
    """How many one client has made, all of them in that way."""
    marks = max(told.splitlines(), key=len)  # one for each connection
    assert set(marks) == {"r" if way == "-reuse" else "*"}, marks[:80]
    return int(re.findall(r"^(\d+) connections in \d+ real seconds", told, re.MULTILINE)[-1])


def _own(server: Child, world: World) -> dict[str, float]:
    context = ssl.create_default_context(cadata=world.roots[0].pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    full = _cost(server, context, None)
    session = _session(server, context)
    resumed = _cost(server, context, session)
    return {"full_us": full, "resumed_us": resumed, "ratio": round(resumed / full, 3)}


def _connect(server: Child, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    return context.wrap_socket(plain, server_hostname="eim.example.com", session=session)


def _session(server: Child, context: ssl.SSLContext) -> ssl.SSLSession:
    """Of a connection that has got an answer: TLS 1.3 brings its ticket behind the handshake."""
    with _connect(server, context, None) as connection:
        connection.sendall(_REQUEST)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert connection.session is not None
        return connection.session


def _cost(server: Child, context: ssl.SSLContext, session: ssl.SSLSession | None) -> float:
    """Microseconds of the server for one connection that is opened, used for nothing and closed."""
    before = server.cpu_s()
    for _ in range(CONNECTIONS):
        with _connect(server, context, session) as connection:
            assert connection.session_reused is (session is not None)
    time.sleep(0.2)  # the last ones are closed
    return round((server.cpu_s() - before) / CONNECTIONS * 1e6, 1)
