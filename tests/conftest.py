"""Settings of every suite: hypothesis profiles, the shared folder's rule, a clean environment."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.gate import SUITE_BUDGETS_S
from tests.postgres_cluster import Cluster, running
from tests.shared import is_shared_required, shared_dir, wanted_shared_dir
from tests.system_packages import message, missing, needs
from tests.vectors.loading import unused_extra_files

settings.register_profile(
    "default", max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", max_examples=5000, derandomize=False, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("KEIM_HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As whoever runs in the background of a shell inherits it: programs under test are to heed it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "needs_shared: reads the folder named by KEIM_SHARED in place")
    config.addinivalue_line("markers", "needs_system(need): needs a row of tests/system_packages.toml")
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
    for marker in item.iter_markers("needs_system"):
        need = needs()[marker.args[0]]
        if need.is_met():
            continue
        if is_shared_required():
            pytest.fail(message([need]), pytrace=False)
        pytest.skip(f"needs the system packages {', '.join(need.packages)}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL, started for the first test that asks."""
    with running() as made:
        yield made


def suite_of(nodeid: str) -> str:
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "tests" else "?"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    report_suites(terminalreporter)
    report_unused_vectors(terminalreporter)
    if is_shared_required():
        return
    if shared_dir() is None:
        terminalreporter.write_line(
            f"SKIPPED: ALL TESTS ON SHARED DATA: {wanted_shared_dir()} is absent (set KEIM_SHARED)",
            red=True,
            bold=True,
        )
    if absent := missing():
        terminalreporter.write_line(f"SKIPPED: {message(absent)}", red=True, bold=True)


def report_unused_vectors(terminalreporter: pytest.TerminalReporter) -> None:
    """A file that somebody put beside our vectors and that nothing reads must not pass for tested."""
    if not os.environ.get("KEIM_EXTRA_VECTORS"):
        return
    if unused := unused_extra_files():
        names = ", ".join(str(path) for path in unused)
        terminalreporter.write_line(
            f"WARNING: NOT RUN, NEITHER CRYPTO NOR OBJECT VECTORS (KEIM_EXTRA_VECTORS): {names}",
            red=True,
            bold=True,
        )


def report_suites(terminalreporter: pytest.TerminalReporter) -> None:
    """What each suite took, beside its budget; with several workers the seconds of all of them together."""
    counts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                suite = suite_of(report.nodeid)
                counts[suite] = counts.get(suite, 0) + (report.when == "call")
                seconds[suite] = seconds.get(suite, 0.0) + report.duration
    if len(counts) < 2:
        return
    terminalreporter.write_sep("-", "suites")
    for suite in sorted(counts):
        budget = SUITE_BUDGETS_S.get(suite)
        note = "no budget in tests/gate.py" if budget is None else f"budget {budget} s"
        if budget is not None and seconds[suite] > budget:
            note += " EXCEEDED"
        terminalreporter.write_line(f"{suite:<14}{counts[suite]:>6} tests {seconds[suite]:>7.1f} s  {note}")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests must not depend on how the person's terminal is set up."""
    for name in ("NO_COLOR", "FORCE_COLOR", "KEIM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
