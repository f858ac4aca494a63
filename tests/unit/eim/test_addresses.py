"""The policy for addresses that others name: what may be called."""

from __future__ import annotations

import pytest

from keim.eim.addresses import AddressPolicy
from keim.errors import Refused

OPEN = AddressPolicy()
LISTED = AddressPolicy(frozenset({"smdp.example.com", "*.good.example", "10.0.0.7", "lab.local:8443"}))


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("SMDP.example.com", "smdp.example.com"),
        ("smdp.example.com.", "smdp.example.com"),
        ("smdp.example.com:8443", "smdp.example.com:8443"),
        ("8.8.8.8", "8.8.8.8"),
    ],
)
def test_public_names_are_called(address: str, kept: str) -> None:
    assert OPEN.check(address) == kept


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        "smdp",
        "smdp.local",
        "db.internal",
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.9.9",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "1.2.3.4.5",
        "user@smdp.example.com",
        "smdp.example.com/path",
        "https://smdp.example.com",
        "smdp.example.com:0",
        "smdp.example.com:99999",
        "smdp.example.com:x",
        "smdp.example.com:" + "0" * 5000 + "443",
        "smdp.example.com:٤٤٣",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]:443",
        "fe80::1%eth0",
        "127.0.0.1%2f",
        "１２７.0.0.1",
        "smdp.example.com\x00.local",
        "[::1]",
        "::1",
        "a b.example.com",
        "-a.example.com",
        "a..example.com",
        "smdp.example.com\r\nx",
        "b\u00fccher.example",
        "1.0.0.127.in-addr.arpa",
        "x" * 300 + ".com",
    ],
)
def test_what_leads_nowhere_or_home_is_refused(address: str) -> None:
    with pytest.raises(Refused) as caught:
        OPEN.check(address)
    assert caught.value.code == "eim.address_refused"


@pytest.mark.parametrize(
    ("address", "is_accepted"),
    [
        ("smdp.example.com", True),
        ("smdp.example.com:9", True),
        ("a.good.example", True),
        ("good.example", False),
        ("evilgood.example", False),
        ("other.example.com", False),
        ("10.0.0.7", True),
        ("10.0.0.8", False),
        ("lab.local:8443", True),
        ("lab.local", False),
        ("lab.local:8444", False),
    ],
)
def test_with_a_list_only_what_is_on_it_is_called(address: str, is_accepted: bool) -> None:
    assert LISTED.accepts(address) is is_accepted


@pytest.mark.parametrize(
    ("ip", "is_allowed"),
    [
        ("93.184.216.34", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("2606:4700::1111", True),
        ("169.254.169.254", False),
        ("fec0::1", False),
        ("::7f00:1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1%1", False),
        ("2002:7f00:1::", False),
        ("2002:a00:1::1", False),
        ("2002:5db8:d822::1", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b:1::5db8:d822", False),
        ("2001:0:a00:1::", False),
        ("ff0e::1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
    ],
)
def test_what_a_name_resolves_to_is_checked_too(ip: str, is_allowed: bool) -> None:
    assert OPEN.is_allowed_ip(ip) is is_allowed
    assert AddressPolicy(allows_private=True).is_allowed_ip(ip)


def test_only_exact_names_excuse_a_private_target() -> None:
    assert LISTED.is_named("smdp.example.com")
    assert not LISTED.is_named("a.good.example")
