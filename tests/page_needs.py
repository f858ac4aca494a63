"""What the reader of a page has and a test must first be given, page by page: the one table of it.

Whatever fits into the page's own commands stands there and not here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

from tests import postgres_cluster
from tests.oidc_provider import Provider
from tests.shared import ROOT
from tests.system_packages import needs

BROWSER = """import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=20).read()
"""


@dataclass(frozen=True)
class Circumstances:
    """How the page's world differs from the one in which it is run."""

    instead_of: dict[str, str] = field(default_factory=dict)
    """The page's words -> those of the test."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PageNeeds:
    system: tuple[str, ...] = ()
    """Rows of tests/system_packages.toml."""
    given: Callable[[Path, ExitStack], Circumstances] = lambda _folder, _opened: Circumstances()


def _small_world(_folder: Path, _opened: ExitStack) -> Circumstances:
    return Circumstances({"./keim up  ": "./keim up --devices 1 "})


def _small_fleet(_folder: Path, _opened: ExitStack) -> Circumstances:
    return Circumstances({"1000000": "200"})


def _database(_folder: Path, opened: ExitStack) -> Circumstances:
    cluster = opened.enter_context(postgres_cluster.running())
    return Circumstances({"postgresql://keim@db.example.com/keim": cluster.new_database()})


def _token(folder: Path, _opened: ExitStack) -> Circumstances:
    """SoftHSM with tokens of the page's own; its module is where the system has it."""
    tokens = folder / "tokens"
    tokens.mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n", "utf-8")
    found = [path for one in needs()["softhsm2"].files[0].split("|") for path in glob(one)]
    return Circumstances(
        {"/usr/lib/softhsm/libsofthsm2.so": found[0]},
        {"SOFTHSM2_CONF": str(settings)},
    )


def _provider(folder: Path, opened: ExitStack) -> Circumstances:
    """An identity provider, and a browser whose person agrees at once."""
    provider = Provider(folder)
    opened.callback(provider.close)
    provider.claims = {"sub": "u-17", "realm_access": {"roles": ["esim-operators"]}}
    browser = folder / "browser"
    browser.write_text(f"#!{sys.executable}\n{BROWSER}", "utf-8")
    browser.chmod(0o755)
    return Circumstances(
        {"https://id.example.com/realms/fleet": provider.issuer},
        {"SSL_CERT_FILE": str(provider.ca_file), "BROWSER": f"{browser} %s"},
    )


NEEDS = {
    "README.md": PageNeeds(given=_small_world),
    "docs/explanation/store.md": PageNeeds(given=_small_fleet),
    "docs/how-to/access.md": PageNeeds(given=_provider),
    "docs/how-to/completion.md": PageNeeds(system=("shells",)),
    "docs/how-to/constrained-networks.md": PageNeeds(system=("coap-peers",)),
    "docs/how-to/pkcs11.md": PageNeeds(system=("softhsm2", "opensc"), given=_token),
    "docs/how-to/run-an-smdp.md": PageNeeds(system=("postgresql",), given=_database),
}


def needs_of(page: Path) -> PageNeeds:
    return NEEDS.get(str(page.relative_to(ROOT)), PageNeeds())


@contextmanager
def circumstances_of(page: Path, folder: Path) -> Iterator[Circumstances]:
    with ExitStack() as opened:
        yield needs_of(page).given(folder, opened)
