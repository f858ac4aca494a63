"""Starts eIM servers quickly: everything is imported once, then each line on stdin forks one server.

Run as a program with a configuration file; writes one line of JSON for each server that is ready. A server
is `keim eim serve` but for its start, so it may be killed a hundred times in a test.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from keim.app.config import load
from keim.app.eim import EimConfig, serve
from keim.io.serve import event_loop


def child(config: EimConfig) -> None:
    def ready(where: dict[str, Any]) -> None:
        line = json.dumps({"pid": os.getpid(), "listen": where["listen"]["esipa"]}) + "\n"
        os.write(1, line.encode())

    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(serve(config, on_ready=ready))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    config = load(EimConfig, Path(sys.argv[1]), prefix="KEIM_EIM", environment={})
    for _ in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child(config)
            os._exit(0)


if __name__ == "__main__":
    main()
