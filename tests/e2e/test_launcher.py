"""The launcher `./keim` with a toolchain of stubs: what it installs, when, and what it leaves alone.

The true installation is proved by every run of the gate, which the launcher itself starts; here its
decisions are tested without an index: stamps, locks, interruption, odd paths and a hostile environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.shared import ROOT

PYTHON_STUB = r"""#!/bin/sh
# Stands for every Python: notes what it was asked, makes what the real one would.
echo "$(basename "$0") $*" >>"$STUB_LOG"
env | grep -E '^(PIP|UV|VIRTUAL_ENV|PYTHON)' | sed 's/^/  /' >>"$STUB_LOG" || true
case $* in
    *version_info\ \<*) exit "${STUB_TOO_OLD:-0}" ;;
    *_base_executable*) echo "$0" ;;
    *ensurepip,*) exit 0 ;;
    "-m venv"*)
        for last; do :; done
        mkdir -p "$last/bin"
        cp "$0" "$last/bin/python"
        : >"$last/pyvenv.cfg"
        ;;
    "-m pip --version") exit 0 ;;
    *" -e "*)
        [ -z "${STUB_FAIL:-}" ] || exit 1
        printf '#!/bin/sh\necho "keim runs in $PWD:" "$@"\n' >"$(dirname "$0")/keim"
        chmod +x "$(dirname "$0")/keim"
        ;;
    *"-r "*)
        if [ -n "${STUB_HANG:-}" ]; then : >"$STUB_HANG"; exec tail -f /dev/null; fi
        ;;
    *"tests.system_packages has"*) exit "${STUB_NO_HEADERS:-0}" ;;
    *tests.gate*) echo "gate in $PWD:" "$@" ;;
esac
"""


class Checkout:
    """A checkout with only what the launcher reads, and a PATH with only stubs and a POSIX system."""

    def __init__(self, folder: Path, stubs: Path) -> None:
        self.folder = folder
        self.log = stubs / "log"
        (folder / "requirements").mkdir(parents=True)
        (folder / "tests").mkdir()
        shutil.copy(ROOT / "keim", folder / "keim")
        for name in ("pyproject.toml", "tests/system_packages.toml"):
            (folder / name).write_text(f"# {name}\n")
        for name in ("run", "test", "bench", "cards"):
            (folder / "requirements" / f"{name}.txt").write_text(f"# {name}\n")
        programs = stubs / "bin"
        programs.mkdir(parents=True)
        for name in (
            "sh",
            "cat",
            "cmp",
            "cp",
            "mkdir",
            "rmdir",
            "rm",
            "mv",
            "env",
            "grep",
            "sed",
            "tail",
            "id",
        ):
            self.link(programs, name)
        for name in ("basename", "dirname", "readlink", "chmod", "printf", "sleep"):
            self.link(programs, name)
        self.stubs = programs
        self.stub("python3", PYTHON_STUB)
        self.environment = {"PATH": str(programs), "HOME": str(stubs), "STUB_LOG": str(self.log)}

    @staticmethod
    def link(programs: Path, name: str) -> None:
        found = shutil.which(name)
        assert found, name
        (programs / name).symlink_to(found)

    def stub(self, name: str, text: str) -> None:
        (self.stubs / name).write_text(text)
        (self.stubs / name).chmod(0o755)

    def run(
        self, *arguments: str, command: Path | None = None, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(command or self.folder / "keim"), *arguments],
            cwd=cwd or self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self, piece: str = "") -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if not line.startswith("  ") and piece in line]

    def forget(self) -> None:
        self.log.unlink(missing_ok=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout", tmp_path / "stubs")


def test_the_first_start_installs_and_the_second_starts_nothing_but_keim(checkout: Checkout) -> None:
    first = checkout.run("explain", "a b", "c")
    assert (first.returncode, first.stdout) == (0, f"keim runs in {checkout.folder}: explain a b c\n"), (
        first.stderr
    )
    assert len(checkout.calls("--require-hashes -r")) == 1
    assert checkout.calls("run.txt")
    checkout.forget()
    second = checkout.run("explain")
    assert (second.returncode, second.stderr) == (0, "")
    assert checkout.calls() == []


def test_the_needs_of_tests_and_benchmarks_are_installed_only_for_them(checkout: Checkout) -> None:
    checkout.run("--version")
    assert not checkout.calls("test.txt")
    assert not checkout.calls("bench.txt")
    done = checkout.run("test", "-k", "a b")
    assert done.stdout == f"gate in {checkout.folder}: -m tests.gate -k a b\n"
    installed = [line.rpartition("/")[2] for line in checkout.calls(" -r ")]
    assert installed == ["run.txt", "test.txt", "cards.txt"]
    assert checkout.calls("tests.system_packages install")
    checkout.run("bench", "codec")
    assert checkout.calls("bench.txt")
    checkout.forget()
    for arguments in (["test"], ["bench"], ["explain"]):
        checkout.run(*arguments)
    assert checkout.calls() == ["python -m tests.gate"]


def test_without_the_headers_pyscard_is_left_out(checkout: Checkout) -> None:
    assert checkout.run("test", STUB_NO_HEADERS="1").returncode == 0
    assert checkout.calls("test.txt")
    assert not checkout.calls("cards.txt")


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements/run.txt"])
def test_a_changed_input_is_noticed(checkout: Checkout, name: str) -> None:
    checkout.run("--version")
    checkout.forget()
    with (checkout.folder / name).open("a") as file:
        file.write("# changed\n")
    checkout.run("--version")
    assert checkout.calls("run.txt")


def test_a_moved_checkout_is_installed_anew(checkout: Checkout) -> None:
    checkout.run("--version")
    checkout.forget()
    moved = checkout.folder.with_name("moved")
    checkout.folder.rename(moved)
    done = checkout.run("x", command=moved / "keim", cwd=moved)
    assert done.stdout == f"keim runs in {moved}: x\n"
    assert any(str(moved) in line for line in checkout.calls(" -e "))


def test_it_works_through_links_and_from_anywhere(checkout: Checkout, tmp_path: Path) -> None:
    inner = tmp_path / "links" / "inner"
    inner.mkdir(parents=True)
    (inner / "absolute").symlink_to(checkout.folder / "keim")
    (inner / "relative").symlink_to(Path("../../a checkout/keim"))
    (inner / "twice").symlink_to("relative")
    (tmp_path / "folder link").symlink_to(checkout.folder)
    for command in (
        inner / "absolute",
        inner / "relative",
        inner / "twice",
        tmp_path / "folder link" / "keim",
    ):
        done = checkout.run("x", command=command, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"keim runs in {tmp_path}: x\n"), done.stderr
    assert len(checkout.calls("run.txt")) == 1
    by_name = checkout.run(
        "x", command=Path("keim"), cwd=tmp_path, PATH=f"{checkout.folder}:{checkout.stubs}"
    )
    assert by_name.stdout == f"keim runs in {tmp_path}: x\n"
    by_shell = checkout.run("keim", "x", command=checkout.stubs / "sh")
    assert by_shell.stdout == f"keim runs in {checkout.folder}: x\n"


def test_an_inherited_environment_does_not_leak_in_but_addresses_do(checkout: Checkout) -> None:
    hostile = {
        "VIRTUAL_ENV": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere",
        "PIP_TARGET": "/nowhere", "PIP_USER": "1", "PIP_PREFIX": "/nowhere", "PIP_REQUIRE_HASHES": "1",
        "UV_SYSTEM_PYTHON": "1", "CDPATH": "/",
    }  # fmt: skip
    assert checkout.run("x", PIP_CERT="kept", **hostile).returncode == 0
    log = checkout.log.read_text()
    assert "PIP_CERT=kept" in log
    assert "/nowhere" not in log
    assert "UV_SYSTEM_PYTHON" not in log
    assert "PIP_REQUIRE_HASHES" not in log
    pip = log[log.index("-m pip install") :]
    assert "PIP_USER=0" in pip
    assert "PIP_USER=1" not in pip


def test_a_failed_installation_leaves_no_stamp_and_the_next_start_repeats_it(checkout: Checkout) -> None:
    failed = checkout.run("x", STUB_FAIL="1")
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert not list(checkout.folder.glob(".venv.lock*"))
    checkout.forget()
    assert checkout.run("x").returncode == 0
    assert checkout.calls("run.txt")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_installation_is_repeated(checkout: Checkout, tmp_path: Path, number: int) -> None:
    flag = tmp_path / "hangs"
    started = subprocess.Popen(
        [str(checkout.folder / "keim"), "x"],
        env=checkout.environment | {"STUB_HANG": str(flag)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not flag.exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert flag.exists()
    os.killpg(started.pid, number)
    started.communicate(timeout=30)
    assert started.returncode != 0
    if number != signal.SIGKILL:
        assert not (checkout.folder / ".venv.lock").exists()
    checkout.forget()
    done = checkout.run("x")
    assert (done.returncode, done.stdout) == (0, f"keim runs in {checkout.folder}: x\n"), done.stderr
    assert checkout.calls("run.txt")
    assert not list(checkout.folder.glob(".venv.lock*"))


@pytest.mark.parametrize("owner", ["", "dead"])
def test_starts_at_once_install_once_even_behind_a_dead_lock(checkout: Checkout, owner: str) -> None:
    if owner:
        leave_a_dead_lock(checkout)
    running = [
        subprocess.Popen(
            [str(checkout.folder / "keim"), "x"],
            env=checkout.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=checkout.folder,
        )
        for _ in range(6)
    ]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, f"keim runs in {checkout.folder}: x\n"), err
    assert len(checkout.calls("run.txt")) == 1


def leave_a_dead_lock(checkout: Checkout) -> None:
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout
    lock = checkout.folder / ".venv.lock"
    lock.mkdir()
    (lock / "pid").write_text(dead)


def test_a_lock_whose_owner_died_is_broken(checkout: Checkout) -> None:
    leave_a_dead_lock(checkout)
    assert checkout.run("x").returncode == 0
    assert not list(checkout.folder.glob(".venv.lock*"))


def test_a_folder_that_cannot_be_written_is_named(checkout: Checkout) -> None:
    done = checkout.run("x", KEIM_VENV="/proc/nowhere/venv")
    assert done.returncode != 0
    assert "/proc/nowhere" in done.stderr


def test_without_a_python_that_is_new_enough_it_says_what_to_do(checkout: Checkout) -> None:
    done = checkout.run("x", STUB_TOO_OLD="1")
    assert done.returncode == 1
    assert "Python 3.11 or later is needed" in done.stderr
    assert "KEIM_PYTHON" in done.stderr
    assert done.stdout == ""


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("x")
    done = checkout.run("x", KEIM_VENV=str(precious))
    assert done.returncode == 1
    assert "is no Python environment" in done.stderr
    assert (precious / "data").read_text() == "x"


def test_a_broken_environment_is_made_anew(checkout: Checkout) -> None:
    checkout.run("x")
    python = checkout.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    checkout.forget()
    assert checkout.run("x").returncode == 0
    assert checkout.calls("-m venv")


def test_uv_is_used_where_it_is_and_pip_where_it_fails(checkout: Checkout) -> None:
    checkout.stub(
        "uv",
        '#!/bin/sh\necho "uv $*" >>"$STUB_LOG"\n'
        'case $1 in venv) for last; do :; done; exec "$(dirname "$0")/python3" -m venv "$last" ;; esac\n'
        'case $* in *" -e "*) exec "${5%/*}/python" -m pip install -e x ;; esac\n'
        'exit "${STUB_UV_FAILS:-0}"\n',
    )
    assert checkout.run("x").returncode == 0
    assert [line.split()[1:3] for line in checkout.calls("uv ") if line.startswith("uv ")] == [
        ["venv", "-q"],
        ["pip", "install"],
        ["pip", "install"],
    ]
    assert not checkout.calls("-m pip install -q")
    shutil.rmtree(checkout.folder / ".venv")
    checkout.forget()
    assert checkout.run("x", STUB_UV_FAILS="1").returncode == 0
    assert checkout.calls("-m pip install -q --no-input --require-hashes")
    shutil.rmtree(checkout.folder / ".venv")
    checkout.forget()
    assert checkout.run("x", KEIM_INSTALLER="pip").returncode == 0
    assert not [line for line in checkout.calls() if line.startswith("uv ")]


def test_it_is_clean_for_the_plainest_shells() -> None:
    shells = [found for name in ("dash", "busybox", "bash", "sh") if (found := shutil.which(name))]
    for shell in shells:
        command = [shell, "sh"] if shell.endswith("busybox") else [shell]
        subprocess.run([*command, "-n", str(ROOT / "keim")], check=True, capture_output=True)
    if shellcheck := shutil.which("shellcheck"):
        done = subprocess.run(
            [shellcheck, "keim", ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
