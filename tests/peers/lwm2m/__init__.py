"""lwm2m-node-lib as device and as server: fetched by npm into a cache, driven by lines of JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT_S = 15.0


def modules() -> Path:
    """The folder of the library and of all it needs, held against the lock's hashes when it came."""
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keim-tests"
    made = cache / f"lwm2m-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not made.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, scratch)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"npm could not fetch the LwM2M peer:\n{done.stderr}"
            try:
                Path(scratch, "node_modules").rename(made)
            except OSError:
                assert made.exists()  # another worker was faster
    return made


class Peer:
    """A running script."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def next(self, event: str) -> dict[str, Any]:
        """The next event of this name; the library's own lines and other events are passed over."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            while line := await self._process.stdout.readline():
                if line.startswith(b'{"event"'):
                    found: dict[str, Any] = json.loads(line)
                    if found["event"] == event:
                        return found
        raise AssertionError(f"the peer ended before it told of {event!r}")

    async def end(self) -> int:
        async with asyncio.timeout(LIMIT_S):
            return await self._process.wait()


@asynccontextmanager
async def peer(script: str, *arguments: object) -> AsyncIterator[Peer]:
    folder = await asyncio.to_thread(modules)
    process = await asyncio.create_subprocess_exec(
        "node",
        str(HERE / script),
        *map(str, arguments),
        env={**os.environ, "NODE_PATH": str(folder)},
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
