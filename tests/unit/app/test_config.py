"""The configuration of the servers: file, environment, options, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from keim.app.config import host_and_port, load
from keim.app.smdp import SmdpConfig
from keim.app.smds import SmdsConfig
from keim.errors import Refused

FILE = """
pki = "from-file"
store = "postgresql://db/keim"
[rules]
code_attempts = 4
order_days = 30
[[operators]]
name = "op"
certificate = "op.pem"
"""


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "smdp.toml"
    path.write_text(FILE)
    environment = {
        "KEIM_SMDP_STORE": "env.db",
        "KEIM_SMDP_LISTEN": "127.0.0.1:1",
        "KEIM_SMDP_RULES__CODE_ATTEMPTS": "5",
        "KEIM_SMDP_RULES__MAY_REBIND": "false",
        "KEIM_SMDP_CONFIG": str(path),
        "KEIM_SMDS_STORE": "not mine",
    }
    options = {"listen": "127.0.0.1:2", "address": None}
    config = load(SmdpConfig, path, prefix="KEIM_SMDP", environment=environment, options=options)
    assert (config.pki, config.store, config.listen) == ("from-file", "env.db", "127.0.0.1:2")
    assert (config.rules.code_attempts, config.rules.order_days) == (5, 30)
    assert config.rules.may_rebind is False
    assert config.rules.rules().code_attempts == 5
    assert [operator.name for operator in config.operators] == ["op"]


@pytest.mark.parametrize(
    "text",
    ["surprise = 1", "[rules]\nsurprise = 1", "[[operators]]\nname = 'x'", "tls = 'maybe'", "pki = ["],
)
def test_what_is_unknown_or_wrong_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "smdp.toml"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        load(SmdpConfig, path, prefix="KEIM_SMDP", environment={})
    assert caught.value.code == "config.invalid"
    assert str(path) in str(caught.value)


def test_an_unknown_key_in_the_environment_is_refused() -> None:
    with pytest.raises(Refused, match="surprise"):
        load(SmdsConfig, None, prefix="KEIM_SMDS", environment={"KEIM_SMDS_SURPRISE": "1"})
    environment = {"KEIM_SMDS_PKI": "x", "KEIM_SMDS_PKI__Y": "1"}
    with pytest.raises(Refused, match="pki"):
        load(SmdsConfig, None, prefix="KEIM_SMDS", environment=environment)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        load(SmdpConfig, tmp_path / "none.toml", prefix="KEIM_SMDP", environment={})
    assert caught.value.code == "config.file_not_found"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:8443", ("127.0.0.1", 8443)),
        ("[::1]:0", ("::1", 0)),
        (":80", ("0.0.0.0", 80)),
    ],
)
def test_addresses_are_read(text: str, parts: tuple[str, int]) -> None:
    assert host_and_port(text, "listen") == parts


@pytest.mark.parametrize("text", ["8443", "host", "host:port", "host:70000", ""])
def test_bad_addresses_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="listen"):
        host_and_port(text, "listen")


def test_the_reference_names_every_key() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/reference/smdp-configuration.md").read_text("utf-8")
    for name in SmdpConfig.__struct_fields__ + SmdsConfig.__struct_fields__:
        if name not in ("rules",):
            assert f"`{name}`" in page or f"[[{name}]]" in page, name
    for name in SmdpConfig().rules.__struct_fields__:
        assert f"`rules.{name}`" in page, name
