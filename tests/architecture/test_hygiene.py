"""What must never stand in the repository: keys, addresses of indexes, paths of a machine, silent waivers."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.architecture.source import repository_files
from tests.shared import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Put together from pieces, so that this file itself does not match.
PRIVATE_KEY = re.compile("-----BEGIN ([A-Z]+ )*" + "PRIVATE " + "KEY-----")
INDEX_HOSTS = re.compile(
    r"py" + r"pi\.org|python" + r"hosted|--(extra-)?index" + r"-url\b(?=[ =])|--find" + r"-links[ =]"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~$}/-])/(" + r"work|root|tmp|Users|home/[a-z]+" + r")/[\w.]")
SILENCED = re.compile(
    r"#\s*(type: ignore(\[[^\]]*\])?|noqa(:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*)?)(?P<rest>.*)"
)
SUFFIXES_OF_BINARY = {".der", ".bin", ".key", ".p8", ".p12", ".pfx"}


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in repository_files():
        try:
            found.append((path, path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def places(pattern: re.Pattern[str], *, but: frozenset[str] = frozenset()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for path, text in texts()
        if path.relative_to(ROOT).as_posix() not in but
        for match in pattern.finditer(text)
    ]


def test_the_repository_has_files_to_look_at() -> None:
    assert ROOT / "pyproject.toml" in repository_files()
    assert len(texts()) > 50


def test_no_private_key_is_committed() -> None:
    assert places(PRIVATE_KEY) == []


def test_no_binary_file_is_a_private_key() -> None:
    for path in repository_files():
        if path.suffix in SUFFIXES_OF_BINARY:
            with pytest.raises((ValueError, TypeError)):
                load_der_private_key(path.read_bytes(), None)


def test_no_address_of_an_index_stands_anywhere() -> None:
    assert places(INDEX_HOSTS) == []


def test_no_path_of_a_machine_stands_anywhere() -> None:
    assert places(MACHINE_PATHS) == []


@pytest.mark.parametrize("text", ["see /wo" + "rk/main/x", "'/ro" + "ot/.config'", '"/tm' + 'p/x"'])
def test_the_pattern_of_machine_paths_works(text: str) -> None:
    assert MACHINE_PATHS.search(text)


# ---- locks


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_everything_with_hashes_and_names_no_address(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert "://" not in text
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert entries
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9.-]+(\[[a-z,]+\])?==[^ ;]+( ; .*)? \\", entry), entry
    blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert all(block.count("--hash=sha256:") >= 1 for block in blocks)


def pins(*names: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name in names:
        for line in (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines():
            if match := re.match(r"([a-z0-9.-]+)==([^ ;]+)", line):
                found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


def test_the_locks_hold_what_the_metadata_asks_for() -> None:
    """A dependency that is added without `python3 requirements/lock.py` is found here."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = metadata["project"]["optional-dependencies"]
    groups = metadata["dependency-groups"]
    wanted = {
        ("run",): [*metadata["project"]["dependencies"], *groups["build"]],
        ("test", "cards"): [*groups["test"], *(line for lines in extras.values() for line in lines)],
        ("bench",): groups["bench"],
    }
    for locks, lines in wanted.items():
        pinned = pins(*locks)
        for requirement in map(Requirement, lines):
            versions = pinned.get(canonicalize_name(requirement.name), set())
            assert versions, f"{requirement} is in none of {locks}"
            assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_all_locks_pin_the_same_versions() -> None:
    different = {
        name: versions for name, versions in pins(*(p.stem for p in LOCKS)).items() if len(versions) > 1
    }
    assert different == {}


# ---- silenced checks need a reason


def comments(path: Path) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


PYTHON_FILES = [path for path in repository_files() if path.suffix == ".py"]


def has_reason(text: str) -> bool:
    return len(re.findall(r"[A-Za-z]{2,}", text)) >= 2


def test_a_silenced_check_has_a_reason_beside_it() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{line}: {comment}"
        for path in PYTHON_FILES
        for line, comment in comments(path)
        if (match := SILENCED.search(comment)) and not has_reason(match["rest"] + comment[: match.start()])
    ]
    assert bare == []


def broad_excepts(text: str) -> list[int]:
    """Lines of `except:` and `except Exception` without a reason on the line, above it or below it.

    One that ends by raising again what it caught hides nothing and needs none.
    """
    lines = ["", *text.splitlines(), ""]
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = (
            {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {""}
        )
        if not caught & {"", "Exception", "BaseException"}:
            continue
        last = node.body[-1]
        if isinstance(last, ast.Raise) and last.exc is None:
            continue
        near = lines[node.lineno - 1 : node.body[0].lineno + 1]
        if not any("#" in line and has_reason(line.partition("#")[2]) for line in near):
            found.append(node.lineno)
    return found


def test_a_broad_except_has_a_reason_beside_it() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in PYTHON_FILES
        for line in broad_excepts(path.read_text("utf-8"))
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("text", "is_bare"),
    [
        ("except Exception:\n    pass", True),
        ("except:\n    pass", True),
        ("except (BaseException, ValueError) as e:\n    pass", True),
        ("except Exception:  # the edge of the process must not die\n    pass", False),
        ("except BaseException:\n    close()\n    raise", False),
        ("except Exception as e:\n    raise ValueError from e", True),
        ("except ValueError:\n    pass", False),
    ],
)
def test_the_walk_tells_bare_excepts(text: str, is_bare: bool) -> None:
    assert bool(broad_excepts(f"try:\n    x()\n{text}")) is is_bare
