"""The system packages that tests need: what is missing here, and installing it where that is allowed.

`python -m tests.system_packages install` installs or names the missing ones (exit code 0 either way, so
that all other tests still run); `... has NEED` tells by its exit code. The list is system_packages.toml.
Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from glob import glob
from pathlib import Path


@dataclass(frozen=True)
class Need:
    name: str
    packages: tuple[str, ...]
    why: str
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def is_met(self) -> bool:
        path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
        return all(shutil.which(program, path=path) for program in self.programs) and all(
            any(glob(pattern) for pattern in alternatives.split("|")) for alternatives in self.files
        )


@cache
def needs() -> dict[str, Need]:
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {
        name: Need(
            name,
            tuple(row["packages"]),
            row["why"],
            tuple(row.get("programs", ())),
            tuple(row.get("files", ())),
        )
        for name, row in rows.items()
    }


def missing() -> list[Need]:
    return [need for need in needs().values() if not need.is_met()]


def install() -> None:
    """Installs what is missing with apt as root; else, or when that fails, says in one message what to do."""
    absent = missing()
    if not absent:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        packages = sorted({package for need in absent for package in need.packages})
        print(f"keim: installing system packages for the tests: {' '.join(packages)}", file=sys.stderr)
        if not _apt("install", *packages):
            _apt("update")
            _apt("install", *packages)
        absent = missing()
    if absent:
        print(message(absent), file=sys.stderr)


def _apt(verb: str, *packages: str) -> bool:
    options = ["-y", "-q", "--no-install-recommends"] if verb == "install" else ["-q"]
    done = subprocess.run(
        ["apt-get", verb, *options, *packages],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-5:]), file=sys.stderr)
    return done.returncode == 0


def message(absent: list[Need]) -> str:
    lines = ["keim: these tests will be skipped, because system packages are missing:"]
    lines += [f"  {need.why} ({', '.join(need.packages)})" for need in absent]
    packages = sorted({package for need in absent for package in need.packages})
    lines.append(f"  on Debian and Ubuntu: sudo apt-get install {' '.join(packages)}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["install"]:
            install()
            return 0
        case ["has", name] if name in needs():
            return 0 if needs()[name].is_met() else 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
