"""Writes the lock files of this folder anew: `python3 requirements/lock.py [--upgrade]`.

Each file pins every dependency with the hashes of all its published files, so that it installs the same on
every platform with pip (`--require-hashes`) and with uv, and from whatever index the person's own settings
name: no address of an index stands in it. `--upgrade` takes the newest versions instead of keeping the
pinned ones. Needs uv: the one on the PATH, else it is installed into a scratch environment with pip.
Standard library only.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent

LOCKS: dict[str, list[str]] = {
    # file -> what it locks, in the order in which the files are made: later ones follow `test.txt`
    "test.txt": [
        "--extra=server",
        "--extra=fast",
        "--extra=postgres",
        "--extra=pkcs11",
        "--extra=coap",
        "--extra=mqtt",
        "--extra=otel",
        "--group=build",
        "--group=test",
    ],
    "run.txt": ["--extra=server", "--extra=fast", "--extra=postgres", "--extra=pkcs11", "--group=build"],
    "bench.txt": [
        "--extra=server",
        "--extra=fast",
        "--extra=postgres",
        "--extra=coap",
        "--extra=mqtt",
        "--group=build",
        "--group=bench",
    ],
    "cards.txt": ["--extra=pcsc", "--group=build"],
}
"""`cards.txt` stands alone because pyscard has to be compiled, which not every machine can do."""


def uv_command(scratch: Path) -> str:
    found = shutil.which("uv")
    if found:
        return found
    venv.create(scratch / "venv", with_pip=True)
    folder = scratch / "venv" / "bin"
    subprocess.run([folder / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(folder / "uv")


def lock(uv: str, name: str, selection: list[str], *, upgrade: bool) -> None:
    target = FOLDER / name
    command = [uv, "pip", "compile", "--quiet", "pyproject.toml", *selection, f"--output-file={target}"]
    command += ["--universal", "--python-version=3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command.append("--no-strip-extras")  # pip takes a pin of `coverage` for none of `coverage[toml]`
    if name != "test.txt":
        command.append(f"--constraint={FOLDER / 'test.txt'}")
    if upgrade:
        command.append("--upgrade")
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    head = f"# Locked by `python3 requirements/lock.py`: {' '.join(selection)}. Do not edit.\n"
    target.write_text(head + target.read_text("utf-8"), "utf-8")


def main(arguments: list[str]) -> int:
    if set(arguments) - {"--upgrade"}:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        uv = uv_command(Path(scratch))
        for name, selection in LOCKS.items():
            lock(uv, name, selection, upgrade="--upgrade" in arguments)
            print(f"requirements/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
