"""An SM-DP+ and an SM-DS as processes, with a PKI, a stock and clients that reach them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keim.io.http_client import HttpClient
from keim.io.pki_files import create_files, load_world
from keim.io.rsp_clients import Es2Client, rsp_client
from keim.pki import Role
from keim.pki.world import World, WorldPlan, create_world
from keim.wire import es9p_json
from keim.wire.es9p import function_of
from tests.scripted_euicc import ADDRESS, EIDS, SMDS_ADDRESS, iccid, upp

ROOT = Path(__file__).resolve().parents[1]


def start(noun: str, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A server as a process, and where it says that it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "keim.cli", noun, "serve", "--json", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            return process, json.loads(text)["listen"]
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def stop(process: subprocess.Popen[str]) -> int:
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors, errors
    return process.returncode


def keim(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keim.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Site:
    """A PKI, a stocked SM-DP+ and an SM-DS that run."""

    def __init__(self, folder: Path, *, profiles: int = 6, store: str | None = None) -> None:
        self.folder = folder
        self.store = store or str(folder / "smdp.sqlite")
        now = datetime.now(UTC)
        plan = WorldPlan(eids=EIDS, smdp_address=ADDRESS, smds_address=SMDS_ADDRESS)
        create_files(folder / "pki", create_world(plan, now=now))
        self.world: World = load_world(folder / "pki")
        packages = folder / "packages"
        packages.mkdir()
        for number in range(1, profiles + 1):
            (packages / f"{number:04}.der").write_bytes(upp(number))
        self.files = (
            "--pki", str(folder / "pki"), "--store", self.store, "--wrap-key", str(folder / "wrap-key"),
        )  # fmt: skip
        added = keim("smdp", "stock", "add", *self.files, "--type", "iot", "--json", str(packages))
        assert added.returncode == 0, added.stderr
        assert json.loads(added.stdout)["stocked"] == [iccid(number) for number in range(1, profiles + 1)]
        listen = ("--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0")
        self.smds, self.smds_at = start(
            "smds",
            "--pki", str(folder / "pki"),
            "--store", str(folder / "smds.sqlite"),
            "--servers-listen", "127.0.0.1:0",
            *listen,
        )  # fmt: skip
        self.smdp, self.smdp_at = start("smdp", *self.files, "--operators-listen", "127.0.0.1:0", *listen)

    def address(self, where: str) -> tuple[str, int]:
        host, _, port = where.rpartition(":")
        return host, int(port)

    def client(self, credential: str | None = "eim-tls", **changes: Any) -> HttpClient:
        """Towards ES2+."""
        return rsp_client(
            f"https://{ADDRESS}",
            self.world,
            None if credential is None else self.world.get(credential),
            role=Role.DP_TLS,
            now=lambda: datetime.now(UTC),
            connect_to=self.address(self.smdp_at["es2+"]),
            server_name=ADDRESS,
            **changes,
        )

    def stop(self) -> None:
        for process in (self.smdp, self.smds):
            assert stop(process) == 0

    def kill(self) -> None:
        """The SM-DP+ dies as in a power failure: nothing of its own runs after this."""
        self.smdp.send_signal(signal.SIGKILL)
        self.smdp.communicate()

    def start_again(self) -> None:
        listen = ("--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0")
        self.smdp, self.smdp_at = start("smdp", *self.files, "--operators-listen", "127.0.0.1:0", *listen)

    def released(self) -> str:
        """The matching id of a profile that waits to be downloaded."""

        async def script() -> str:
            client = Es2Client(self.client(), requester="2.999.20")
            try:
                ordered = await client.download_order(profile_type="iot")
                confirmed = await client.confirm_order(ordered.iccid)  # type: ignore[union-attr]  # or the test fails
                return confirmed.matching_id  # type: ignore[union-attr]  # as above
            finally:
                client.close()

        return asyncio.run(script())


class Device:
    """A card behind a TLS connection to one of the device-side listeners."""

    def __init__(self, site: Site, where: str, name: str, role: Role, binding: Any = es9p_json) -> None:
        self.binding = binding
        self.http = rsp_client(
            f"https://{name}",
            site.world,
            None,
            role=role,
            now=lambda: datetime.now(UTC),
            server_name=name,
            connect_to=site.address(where),
        )

    async def ask(self, request: Any) -> Any:
        reply = await self.http.send(self.binding.write_request(request))
        return self.binding.read_reply(function_of(request), reply)
