"""The configuration of the servers: file, environment, options, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keim.app.config import host_and_port, load
from keim.app.eim_config import EimConfig
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


@pytest.mark.parametrize(
    "text",
    [
        "8443",
        "host",
        "host:port",
        "host:70000",
        "",
        "host:" + "0" * 5000,
        "host:\u0663",
        "host:-1",
        "h\u00f6st:1",
        "ho st:1",
        "ho\0st:1",
        "[::1",
        "[::1:80",
        "::1]:80",
        "user@host:80",
        "http://host:80",
    ],
)
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


@pytest.mark.parametrize(
    "text",
    [
        "[limits]\nheader_s = nan",
        "[limits]\nbody_s = inf",
        "[limits]\nbody_s = 0",
        "[limits]\neid_rate = -1",
        "[limits]\naddress_burst = nan",
        "[limits]\nbody = 0",
        "[rules]\noffer_days = 1e308",
        "[rules]\noffer_days = nan",
        "[rules]\nemergency_minutes = 99999999999999999999",
        "[retention]\nevents_days = 99999999999999999999",
        "store_gather_ms = -1",
        "[coap]\nack_timeout_s = nan",
        "[injection]\ntimeout_s = -1",
        "[webhooks]\ntimeout_seconds = nan",
        "[api.limits]\nrate = nan",
        "[api.approvals]\nhours = inf",
        'pki = "a\\u0000b"',
        '[servers."a\\u0000b"]\nconnect = "x:1"',
        'log_level = ["info"]',
        "store_gather_ms = " + "9" * 5000,
        "pki = " + "[" * 5000,
        "pki = 'a'\npki = 'b'",
    ],
)
def test_nonsense_in_the_configuration_of_an_eim_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "eim.toml"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        load(EimConfig, path, prefix="KEIM_EIM", environment={})
    assert caught.value.code == "config.invalid"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("octets", [b"pki = '\xff'", "pki = 'x'".encode("utf-16"), b"\xef\xbb\xbfpki = 'x'"])
def test_a_file_in_another_code_is_refused(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "eim.toml"
    path.write_bytes(octets)
    with pytest.raises(Refused) as caught:
        load(EimConfig, path, prefix="KEIM_EIM", environment={})
    assert caught.value.code == "config.invalid"


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        load(EimConfig, tmp_path, prefix="KEIM_EIM", environment={})
    assert caught.value.code == "config.file_not_found"


def test_a_list_comes_from_the_environment_as_it_stands_in_the_file() -> None:
    environment = {
        "KEIM_EIM_ADDRESSES__ALLOWED": '["smdp.example.com", "*.example"]',
        "KEIM_EIM_LISTEN": "[::1]:8453",
        "KEIM_EIM_EIM_ID": "[no list]",
    }
    config = load(EimConfig, None, prefix="KEIM_EIM", environment=environment)
    assert config.addresses.allowed == ("smdp.example.com", "*.example")
    assert (config.listen, config.eim_id) == ("[::1]:8453", "[no list]")
    with pytest.raises(Refused, match="allowed"):
        load(
            EimConfig,
            None,
            prefix="KEIM_EIM",
            environment={"KEIM_EIM_ADDRESSES__ALLOWED": "smdp.example.com"},
        )


def test_octets_in_the_environment_that_are_no_text_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        load(EimConfig, None, prefix="KEIM_EIM", environment={"KEIM_EIM_PKI": os.fsdecode(b"a\xff")})
    assert caught.value.code == "config.invalid"
