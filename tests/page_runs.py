"""Runs the commands of one page in a folder of its own, from top to bottom as a person would.

A page names real ports; here each stands for a free one, so that pages run beside each other. What a page's
reader has and a test must first be given (a token, a database) stands in tests/page_needs.py.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib
from pathlib import Path
from typing import Any

from tests.forked_keim import CLIENT
from tests.mosquitto import free_port
from tests.page_needs import Circumstances, circumstances_of
from tests.pages import Block, Step, blocks_of, matches
from tests.shared import ROOT

PORTS = re.compile(r"\b(8443|8444|8445|8453|8454|8455|8463|8464|8465|9443|9444|9445|9453|9455|5684)\b")
READY = re.compile(r"^  status  |^Stop with Ctrl-C|^  \S+: \d+ packages, ")
"""What servers, a world and an IPA say last before they wait."""
LISTENERS = {
    "eim": {"listen": 8453, "status_listen": 8455},
    "smdp": {"listen": 8443, "operators_listen": 8444, "status_listen": 8445},
    "smds": {"listen": 8463, "servers_listen": 8464, "status_listen": 8465},
}
"""Where servers listen that were told nothing."""
SHIM = f"""#!/bin/sh
# `keim` and `./keim` of this checkout, started from warm but for servers and benchmarks.
case " $* " in
    " test "*) # a gate inside of the gate
        shift
        cd "{ROOT}"
        exec "{sys.executable}" -m tests.gate --plan "$@"
        ;;
    " ipa run "*" --once "*) ;;
    " bench "* | " up "* | *" serve "* | " ipa run "*)
        PYTHONPATH="{ROOT}/src" exec "{sys.executable}" -m keim.cli "$@"
        ;;
esac
exec "${{0%/*}}/keim-from-warm" "$@"
"""


class Serving:
    """A server of a page: it has said that it is ready, or has ended by itself."""

    def __init__(self, command: str, **options: Any) -> None:
        self.command = command
        self.lines: list[str] = []
        """Of its standard output."""
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - `end` closes it
        self._is_settled = threading.Event()
        self.process = subprocess.Popen(
            ["sh", "-eu", "-c", f"exec {command}"],
            **options,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._is_settled.wait(120):
            self.give_up()
            raise AssertionError(f"it was not ready in time: {self.told}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))
                if READY.search(line):
                    self._is_settled.set()
        self._is_settled.set()

    @property
    def told(self) -> str:
        self._errors.seek(0)
        return "\n".join([f"$ {self.command}", *self.lines, self._errors.read()])

    def end(self, number: signal.Signals) -> None:
        """With 0, whoever asks: a service manager, or Ctrl-C, which a whole group of processes hears."""
        if self.process.poll() is None:
            if number == signal.SIGINT:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        try:
            code = self.process.wait(60)
        finally:
            self.give_up()
        told = self.told
        self._errors.close()
        assert code == 0, f"exit code {code}: {told}"
        assert "Traceback" not in told, told

    def give_up(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)


def run_page(page: Path, folder: Path, *, warm: str) -> None:
    """`warm`: where tests/forked_keim.py listens."""
    for name, text in (("keim", SHIM), ("keim-from-warm", CLIENT)):
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o755)
    with circumstances_of(page, folder) as circumstances:
        PageRun(page, folder, circumstances, warm).run()


class PageRun:
    def __init__(self, page: Path, folder: Path, circumstances: Circumstances, warm: str) -> None:
        self.page, self.folder, self._circumstances, self._warm = page, folder, circumstances, warm
        self._serving: list[Serving] = []
        self._ports: dict[str, str] = {}

    def run(self) -> None:
        try:
            for block in blocks_of(self.page):
                if block.reason is not None:
                    print(f"not run: {block.place}: {block.reason}")
                elif block.serves:
                    self._serve(block)
                else:
                    for step in block.steps:
                        self._take(block, step)
            self._end_all()
        finally:
            for left in self._serving:
                left.give_up()

    def _end_all(self) -> None:
        while self._serving:
            self._serving.pop().end(signal.SIGTERM)

    def _take(self, block: Block, step: Step) -> None:
        command = self._here(step.command)
        done = subprocess.run(
            [block.shell, *(["-eu"] if block.shell == "sh" else []), "-c", command],
            **self._options(command),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        told = f"{block.place}: $ {command}\n{done.stdout}{done.stderr}"
        assert done.returncode == step.code, told
        assert matches([self._here(line) for line in step.output], done.stdout.splitlines()), told

    def _serve(self, block: Block) -> None:
        if block.manner.endswith("instead"):
            self._end_all()
        started = []
        for step in block.steps:
            command = self._here(step.command)
            started.append(Serving(command, **self._options(command)))
            self._serving.append(started[-1])
            pattern = [self._here(line) for line in step.output]
            assert matches(pattern, list(started[-1].lines)), f"{block.place}: {started[-1].told}"
            ended = started[-1].process.poll()
            assert ended in {None, 0}, f"{block.place}: {started[-1].told}"
        if block.manner.endswith("Ctrl-C"):
            for server in started:
                self._serving.remove(server)
                server.end(signal.SIGINT)

    def _here(self, text: str) -> str:
        """The text of the page, in the circumstances of this run."""
        for theirs, ours in self._circumstances.instead_of.items():
            text = text.replace(theirs, ours)
        return PORTS.sub(lambda match: self._port(match[0]), text.replace("0.0.0.0", "127.0.0.1"))

    def _port(self, number: str) -> str:
        return self._ports.setdefault(number, str(free_port()))

    def _options(self, command: str) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KEIM_")}
        environment |= {"PATH": f"{self.folder}{os.pathsep}{environment['PATH']}", "HOME": str(self.folder)}
        environment |= {"XDG_CONFIG_HOME": str(self.folder / ".config"), "PYTHONUNBUFFERED": "1"}
        environment |= {"KEIM_BENCH_QUICK": "1", "KEIM_FORKED_AT": self._warm}
        environment |= self._circumstances.environment
        if serving := re.search(r"keim (eim|smdp|smds) serve\b", command):
            environment |= self._listeners(serving[1], re.search(r"--config (\S+)", command))
        return {"cwd": self.folder, "env": environment, "stdin": subprocess.DEVNULL}

    def _listeners(self, noun: str, config: re.Match[str] | None) -> dict[str, str]:
        """The environment goes before the configuration, so it names only what that does not."""
        given = tomllib.loads((self.folder / config[1]).read_text("utf-8")) if config else {}
        return {
            f"KEIM_{noun}_{key}".upper(): f"127.0.0.1:{self._port(str(port))}"
            for key, port in LISTENERS[noun].items()
            if key not in given
        }
