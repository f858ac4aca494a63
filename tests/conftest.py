"""Settings of every suite: hypothesis profiles, the shared folder's rule, a clean environment."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.shared import is_shared_required, shared_dir, wanted_shared_dir

settings.register_profile(
    "default", max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", max_examples=5000, derandomize=False, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("KEIM_HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_shared: reads the folder named by KEIM_SHARED in place")
    config.addinivalue_line("markers", "long: runs only with `./keim test --long`")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="run the long tests and many more generated examples"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        skip_long = pytest.mark.skip(reason="long: run with --long")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip_long)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_shared") and shared_dir() is None:
        pytest.skip(f"needs the folder named by KEIM_SHARED ({wanted_shared_dir()})")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not is_shared_required() and shared_dir() is None:
        terminalreporter.write_line(
            f"SKIPPED ALL TESTS ON SHARED DATA: {wanted_shared_dir()} is absent (set KEIM_SHARED)",
            red=True,
            bold=True,
        )


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests must not depend on how the person's terminal is set up."""
    for name in ("NO_COLOR", "FORCE_COLOR", "KEIM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
