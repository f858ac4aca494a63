"""`keim bench wire`: the same jobs over each carrier of ESipa, in packets and octets as captured, and what
radio links would make of them.

Our IPA with our card on one side, our eIM and SM-DP+ as processes on the other, between them virtual Ethernet
in network namespaces of the benchmark's own (MTU 1500, offloads off, 30 ms each way), captured on the way.
Where namespaces are not allowed, all is on loopback and the device's sockets are counted. Octets are those of
IPv4 packets. Seconds and joules are modelled (benchmarks/wire_links.toml). KEIM_BENCH_QUICK=1: one
job over two carriers.
"""

from __future__ import annotations

import json as json_module
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.timing import sized
from benchmarks.wire_capture import (
    DEVICE_END,
    SERVER,
    SERVER_END,
    Line,
    can_make_networks,
    ip,
    make_line,
    set_up_end,
    summary,
)
from benchmarks.wire_report import report

ROOT: Final = Path(__file__).resolve().parents[1]
INSIDE: Final = "KEIM_WIRE_INSIDE"
JOBS: Final = ("exchange", "poll", "enable", "download")
TRIES: Final = 4
"""Cycles of the IPA until the eIM has the result of an order; the real number is in the figures."""


class Way:
    def __init__(
        self, name: str, title: str, *, warms_up: bool = False, jobs: tuple[str, ...] = JOBS
    ) -> None:
        self.name, self.title, self.warms_up, self.jobs = name, title, warms_up, jobs


WAYS: Final = (
    Way("https new", "HTTPS, new connection (TLS 1.3)"),
    Way("https resumed", "HTTPS, resumed (TLS 1.3)", warms_up=True),
    Way("https kept", "HTTPS, connection kept", warms_up=True),
    Way("coap new", "CoAP/DTLS, new, certificate"),
    Way("coap raw new", "CoAP/DTLS, new, raw public key"),
    Way("coap resumed", "CoAP/DTLS, resumed", warms_up=True),
    Way("coap live", "CoAP/DTLS, live, connection id", warms_up=True),
    Way("coap ccm_8 live", "CoAP/DTLS, live, connection id, CCM_8", warms_up=True, jobs=("exchange", "poll")),
    Way("mqtt new", "MQTT 5, new connection, certificates", jobs=JOBS[1:]),
    Way("mqtt kept", "MQTT 5, connection kept", warms_up=True, jobs=JOBS[1:]),
)
BEGINS: Final = {
    "https new": ["TLSv1.3 new"],
    "https resumed": ["TLSv1.3 resumed"],
    "coap new": ["DTLS new, certificate"],
    "coap raw new": ["DTLS new, raw_key"],
    "coap resumed": ["DTLS resumed, certificate"],
}
"""What an exchange or a poll opens, as its name says; the other ways nothing."""
LIVE: Final = next(way for way in WAYS if way.name == "coap live")


class Child:
    """The device's process: one JSON object there, one back."""

    def __init__(self, prefix: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "benchmarks.wire_device"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.pid: int = self._read()["pid"]

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json_module.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the device's process ended")
        found: dict[str, Any] = json_module.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


@contextmanager
def exchange_server(pki: Path, address: str) -> Iterator[dict[str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.wire_exchange", str(pki), address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it ends while a connection is kept, and says so
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        yield json_module.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)


class Bench:
    """The eIM, the SM-DP+, the device and the line between them."""

    def __init__(self, folder: Path, opened: ExitStack, *, is_captured: bool) -> None:
        from tests.eim_processes import EimSite
        from tests.server_processes import Site

        self.address = SERVER if is_captured else "127.0.0.1"
        self.line = self._connect(opened, is_captured=is_captured)
        (folder / "smdp").mkdir()
        self.smdp = Site(folder / "smdp", profiles=sized(2 * len(WAYS), 1))
        opened.callback(self.smdp.stop)
        pki = folder / "smdp" / "pki"
        broker = None
        if sized(is_captured, quick=False) and shutil.which("mosquitto") is not None:
            from benchmarks.wire_mqtt import mqtt_way

            broker = opened.enter_context(mqtt_way(folder, host=self.address))
        self.has_broker = broker is not None
        self.exchange_at = opened.enter_context(exchange_server(pki, self.address))
        config = (
            '[addresses]\nallowed = ["smdpplus.example.com"]\n'
            f'[servers."smdpplus.example.com"]\nconnect = "{self.smdp.smdp_at["es9+"]}"\n'
            f'[coap]\nlisten = "{self.address}:0"\nstate = "{folder}/coap.db"\nmove_interval_s = 0\n'
            f"{'' if broker is None else broker.eim_config}"
        )
        listen = ("--listen", f"{self.address}:0")
        self.eim = EimSite(folder, world=self.smdp.world, pki=pki, config=config, arguments=listen)
        opened.callback(self.eim.stop)
        told = self.child.ask(
            "settle",
            folder=str(folder),
            store=self.eim.store_at,
            pki=str(pki),
            at=self.eim.at,
            entry=self.eim.entry.encode().hex(),
        )
        self.eid = told["eid"]
        self.enabled = 1
        self.child.ask("mqtt", config=None if broker is None else broker.device_config(self.eid))
        opened.callback(self.child.ask, "end")
        for _ in range(sized(TRIES, 1)):
            # what an eIM asks of a device that it does not know yet belongs to no job
            self.child.ask("run", way="https new", job="poll", at=self.eim.at)

    def _connect(self, opened: ExitStack, *, is_captured: bool) -> Line | None:
        """The device's process, and the line to it where there can be one."""
        self.child = Child(("unshare", "--net") if is_captured else ())
        opened.callback(self.child.close)
        if not is_captured:
            return None
        make_line()
        ip("link", "set", DEVICE_END, "netns", str(self.child.pid))
        set_up_end(SERVER_END, SERVER)
        self.child.ask("network")
        line = Line()
        opened.callback(line.close)
        return line

    def _counted(self) -> dict[str, Any]:
        """Since the last time."""
        return self.child.ask("counted") if self.line is None else summary(self.line.read())

    def measure(self, way: Way, job: str) -> dict[str, Any]:
        at = self.exchange_at if job == "exchange" else self.eim.at
        if way.warms_up:
            warm = "exchange" if job == "exchange" else "poll"
            self.child.ask("run", way=way.name, job=warm, at=at)
        order = self._order(job)
        self._counted()
        cycles, told = 0, dict[str, Any]()
        while not cycles or not (order is None or self._is_done(order)):
            if cycles == TRIES:
                raise RuntimeError(f"{job} over {way.name} did not end: {told}")
            told = self.child.ask("run", way=way.name, job=job, at=at)
            cycles += 1
        if order is None and told["connections"] != BEGINS.get(way.name, []):
            raise RuntimeError(f"{job} over {way.name} is not what it is called: {told}")
        return {
            "way": way.title,
            "job": job,
            "cycles": cycles,
            **self._counted(),
            "device": told,
        }

    def _order(self, job: str) -> int | None:
        from tests.card_lab import iccid

        from keim.eim import compose
        from keim.ids import Eid
        from keim.messages.package import EnablePsmo, Psmo

        eid = Eid(self.eid)
        if job == "enable":
            self.enabled = 3 - self.enabled
            enable = Psmo(enable=EnablePsmo(iccid=iccid(self.enabled), rollback_flag=True))
            return self.eim.order(eid, compose.package_of([enable]))
        if job == "download":
            code = f"1$smdpplus.example.com${self.smdp.released()}"
            return self.eim.order(eid, compose.download_by_code(code))
        return None

    def _is_done(self, order: int) -> bool:
        from keim.eim.rows import State
        from keim.ids import Eid

        state = self.eim.operation(Eid(self.eid), order).state
        if state not in (State.SUCCEEDED, State.DELIVERED):
            raise RuntimeError(f"the order ended as {state.value}")
        return bool(state is State.SUCCEEDED)


def measure(say: Any, *, is_captured: bool) -> list[dict[str, Any]]:
    found = []
    with TemporaryDirectory() as folder, ExitStack() as opened:
        bench = Bench(Path(folder), opened, is_captured=is_captured)
        for job in sized(JOBS, JOBS[:1]):
            for way in sized(WAYS, (WAYS[0], LIVE)):
                if job in way.jobs and (bench.has_broker or not way.name.startswith("mqtt")):
                    say(f"{job}: {way.title}")
                    found.append(bench.measure(way, job))
    return found


METHODS: Final = {
    "veth": "captured from veth pairs between network namespaces, MTU 1500, offloads off, 30 ms each way, "
    "AF_PACKET",
    "loopback": "loopback with segments of 1,448 octets, counters of the device's sockets (TCP_INFO), "
    "without the ends of connections; round trips as the protocols need them",
}


def run(json: bool) -> int:
    method = os.environ.get(INSIDE, "")
    if not method:
        command = can_make_networks()
        environment = {**os.environ, INSIDE: "veth" if command else "loopback"}
        environment["PYTHONPATH"] = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        words = [*(command or ()), sys.executable, "-m", "benchmarks.wire", *(["--json"] if json else [])]
        return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode
    rows = measure(lambda text: print(text, file=sys.stderr, flush=True), is_captured=method == "veth")
    print(report(rows, METHODS[method], as_json=json))
    return 0


if __name__ == "__main__":
    sys.exit(run("--json" in sys.argv))
