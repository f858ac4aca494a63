"""`keim up`: the whole world in one process group, its story, its failures, its end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.server_processes import ROOT

from keim.audit.verification import Options, verify_export
from keim.cli.up import FAILURES
from keim.io.audit_memory import SpillingMemory
from keim.sim.mishaps import NAMES

CHAPTERS = ["wake", "enrol", "fallback", "download", "enable", "report"]


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "keim.cli", "up", "--dir", str(folder), *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def up(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def told(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def chapters(lines: list[dict[str, Any]], device: str) -> list[tuple[str, bool]]:
    return [
        (line["chapter"], line["is_good"])
        for line in lines
        if line.get("device") == device and "chapter" in line
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Four devices whose story was told once: the folder, and what was told."""
    folder = tmp_path_factory.mktemp("up") / "world"
    done = up(folder, "--once", "--devices", "4", "--jsonl")
    assert done.returncode == 0, done.stderr
    return folder, told(done)


def test_the_story_ends_in_profiles_that_an_outsider_can_prove(world: Any) -> None:
    _, lines = world
    for number in range(1, 5):
        assert chapters(lines, f"device-{number:02}") == [(chapter, True) for chapter in CHAPTERS]
    ways = [line["text"] for line in lines if line.get("chapter") == "download"]
    assert [text.rpartition("(")[2] for text in ways] == ["indirect)", "direct)", "indirect)", "SM-DS)"]
    verdicts = [line for line in lines if line["type"] == "verdict"]
    assert [verdict["verdict"] for verdict in verdicts] == ["pass"] * 4
    assert all("profile 8944" in verdict["text"] for verdict in verdicts)
    result = lines[-1]
    assert result["code"] == 0
    assert result["failures"] == []
    # what the story says is what the file says, with another reader
    with Path(result["audit"]["file"]).open("rb") as file, SpillingMemory() as memory:
        report = verify_export(file.read, Options(), memory)
    assert report.is_good
    assert report.signatures == result["audit"]["signatures"]
    assert report.euiccs == 4


def test_octets_on_the_air_are_those_of_the_sockets(world: Any) -> None:
    _, lines = world
    spent = {
        (line["chapter"], line["device"]): line["octets_up"] + line["octets_down"]
        for line in lines
        if "chapter" in line
    }
    for device in ("device-01", "device-02", "device-03"):
        assert spent["wake", device] == spent["report", device] == 0
        assert 1500 < spent["enrol", device] < 10_000  # a handshake and the certificates of the eUICC
        assert spent["download", device] > spent["fallback", device] > 300
    assert spent["fallback", "device-02"] < spent["fallback", "device-01"]  # CoAP against HTTPS, both kept


def test_a_second_start_goes_on_with_what_is_there(world: Any) -> None:
    folder, _ = world
    again = told(up(folder, "--once", "--devices", "5", "--jsonl"))
    assert again[-1]["code"] == 0
    spent = {
        number: sum(
            line["octets_up"]
            for line in again
            if line.get("device") == f"device-{number:02}" and line.get("chapter") in CHAPTERS
        )
        for number in (1, 2, 3, 4, 5)
    }
    assert spent[1] == spent[2] == spent[3] == spent[4] == 0
    assert spent[5] > 5000
    assert [line["device"] for line in again if line.get("chapter") == "call"] == sorted(
        {line["device"] for line in again if "chapter" in line}
    )  # each has asked once whether anything waits
    refused = up(folder, "--once", "--fail", "no-coverage")
    assert refused.returncode == 2
    assert "sim.nothing_to_strike" in refused.stderr
    fresh = told(up(folder, "--once", "--devices", "1", "--fresh", "--seed", "7", "--jsonl"))
    assert fresh[0]["text"] == "a new world: 1 devices, seed 7"
    assert fresh[-1]["code"] == 0
    # a card that cannot be read is nothing that anybody predicted
    (folder / "device-01" / "card").write_bytes(b"no card")
    done = up(folder, "--once")
    assert done.returncode not in (0, 1)
    assert "euicc." in done.stderr
    assert "Traceback" not in done.stderr


def test_the_failures_of_the_command_are_those_of_the_simulation() -> None:
    assert FAILURES == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_failure_ends_as_predicted_and_is_explained(tmp_path: Path, name: str) -> None:
    done = up(tmp_path / "world", "--once", "--devices", "1", "--fail", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name} came as predicted" in done.stdout
    for words in ("what happened:", "must act:", "next:"):
        assert words in done.stdout
    assert "FAIL" not in done.stdout
    if name == "no-coverage":  # the next start tries again, and there is coverage now
        assert told(up(tmp_path / "world", "--once", "--jsonl"))[-1]["code"] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--devices", "0"), "sim.bad_option"),
        (("--devices", "100000"), "sim.bad_option"),
        (("--devices", "-3"), "sim.bad_option"),
    ],
)
def test_nonsense_is_refused_and_makes_nothing(tmp_path: Path, arguments: tuple[str, ...], code: str) -> None:
    folder = tmp_path / "world"
    done = up(folder, "--once", *arguments)
    assert done.returncode == 2
    assert code in done.stderr
    assert not folder.exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    for more in ((), ("--fresh",)):
        done = up(tmp_path, "--once", "--devices", "1", *more)
        assert done.returncode == 2
        assert "sim.folder_unusable" in done.stderr
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_another_seed_needs_a_fresh_start(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    (folder / "world.json").write_text('{"seed": 1, "devices": 2}')
    done = up(folder, "--once", "--seed", "2")
    assert done.returncode == 2
    assert "made with seed 1" in done.stderr
    (folder / "world.json").write_text('{"seed": 1, "devices": ')
    done = up(folder, "--once")
    assert done.returncode == 2
    assert "sim.folder_unusable" in done.stderr


class Serving:
    """`keim up` that serves on, until the test ends it."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            command(folder, "--devices", "1", "--jsonl"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.ready = self._ready()

    def _ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        silence = threading.Timer(120, self.process.kill)
        silence.start()
        try:
            for line in self.process.stdout:
                document: dict[str, Any] = json.loads(line)
                if document["type"] == "ready":
                    return document
        finally:
            silence.cancel()
        raise AssertionError(self.process.stderr.read())

    def children(self) -> list[int]:
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in task.read_text().split()]


def is_gone(process: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True


def test_it_serves_on_refuses_a_second_instance_and_ends_with_all_its_servers(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    serving = Serving(folder)
    children = serving.children()
    assert len(children) == 3
    assert (folder / "token").stat().st_mode & 0o077 == 0
    second = up(folder, "--once")
    assert second.returncode == 2
    assert f"as process {serving.process.pid}" in second.stderr
    os.killpg(serving.process.pid, signal.SIGINT)  # as a terminal does for Ctrl-C: to all of them at once
    _, errors = serving.process.communicate(timeout=60)
    assert serving.process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "did not end" not in errors  # the servers were asked once
    assert all(is_gone(child) for child in children)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent was killed")
def test_its_servers_end_when_it_is_killed(tmp_path: Path) -> None:
    serving = Serving(tmp_path / "world")
    children = serving.children()
    serving.process.kill()
    serving.process.communicate(timeout=30)
    until = time.monotonic() + 60
    while not all(is_gone(child) for child in children):
        assert time.monotonic() < until, "a server outlives the world"
        select.select([], [], [], 0.05)
    assert told(up(tmp_path / "world", "--once", "--jsonl"))[-1]["code"] == 0
