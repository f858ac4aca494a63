"""A daemon of our IPA in a thread, with its card behind TCP, for eIMs that call and push."""

from __future__ import annotations

import queue
import threading
from typing import Any

from keim.app.config import load
from keim.app.ipa import IpaConfig, assistant
from keim.app.ipa_daemon import run_daemon
from keim.errors import KeimError
from keim.io.card_server import serve_tcp
from tests.eim_processes import EIM, EimSite, SiteDevice
from tests.mosquitto import until


class Daemon(SiteDevice):
    """`way` is what the configuration says of the eIM, `more` are further keys."""

    def __init__(self, site: EimSite, number: int, way: dict[str, Any], **more: Any) -> None:
        super().__init__(site, number)
        ready, port = threading.Event(), [0]

        def note(_host: str, number: int) -> None:
            port[0] = number
            ready.set()

        threading.Thread(
            target=serve_tcp, args=(self.lab.card, "127.0.0.1", 0),
            kwargs={"on_ready": note, "connections": 1}, daemon=True,
        ).start()  # fmt: skip
        assert ready.wait(10)
        settings = {
            "card": f"tcp:127.0.0.1:{port[0]}",
            "state": str(self.folder / "daemon.state"),
            "features": ["indirect"],
            "eims": {EIM: way},
            **more,
        }
        config = load(IpaConfig, None, prefix="KEIM_IPA", environment={}, options=settings)
        self.failures: list[KeimError] = []
        self.cycles = 0
        self.commands: queue.Queue[Any] = queue.Queue()

        def count(*_: object) -> None:
            self.cycles += 1

        def daemon() -> None:
            with assistant(config, commands=self.commands) as ipa:
                run_daemon(ipa, self.commands, on_cycle=count, on_failure=self.failures.append)

        self.thread = threading.Thread(target=daemon, daemon=True)
        self.thread.start()
        until(lambda: self.cycles)

    def stop(self) -> None:
        self.commands.put(None)
        self.thread.join(20)
        assert not self.thread.is_alive()
        assert self.failures == []
