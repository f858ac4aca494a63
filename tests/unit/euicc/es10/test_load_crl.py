"""LoadCRL (BF35) with lists in parts: a base, its partial lists, and what is missing of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.card_lab import NOW, Lab, world

from keim.euicc.faults import Faults
from keim.messages.authentication import AuthenticateErrorCode
from keim.pki import Crl, make_crl
from keim.pki.load_crl import request_of

COMPLETE = "bf3502a000"


def crl(number: int, *, revoked: bool = False, part: int | None = None, total: int | None = None) -> Crl:
    ci = world().get("ci")
    serials = {world().get("dp-auth").certificate.serial: NOW} if revoked else {}
    return make_crl(
        ci.certificate,
        ci.private_key,
        serials,
        number=number,
        now=NOW,
        next_update=NOW + timedelta(days=1),
        part=part,
        total_parts=total,
    )


def offered(lab: Lab, **fields: int | bool) -> str:
    return lab.es10(request_of(crl(**fields))).hex()  # type: ignore[arg-type]  # passed through


def refusal(lab: Lab) -> AuthenticateErrorCode | None:
    error = lab.authenticate().authenticate_response_error
    return None if error is None else error.authenticate_error_code


@pytest.fixture
def lab() -> Lab:
    return Lab(eim=False, has_load_crl=True)


def test_missing_parts_are_named_until_all_are_there(lab: Lab) -> None:
    assert offered(lab, number=7, total=3) == "bf350da00ba009020101020102020103"
    assert offered(lab, number=7, part=2) == "bf350aa008a006020101020103"
    assert offered(lab, number=7, part=2) == "bf350aa008a006020101020103"
    assert offered(lab, number=7, part=3) == "bf3507a005a003020101"
    assert offered(lab, number=7, part=1) == COMPLETE
    assert offered(lab, number=7, total=3) == COMPLETE


def test_a_server_that_only_a_part_revokes_is_refused(lab: Lab) -> None:
    offered(lab, number=7, total=1)
    assert refusal(lab) is None
    assert offered(lab, number=7, part=1, revoked=True) == COMPLETE
    assert refusal(lab) == AuthenticateErrorCode.INVALID_CERTIFICATE
    lab.power_on()
    assert refusal(lab) == AuthenticateErrorCode.INVALID_CERTIFICATE


def test_a_new_base_makes_old_parts_worthless(lab: Lab) -> None:
    offered(lab, number=7, total=1)
    offered(lab, number=7, part=1, revoked=True)
    assert offered(lab, number=8, total=1) == "bf3507a005a003020101"
    assert refusal(lab) is None
    assert len(lab.card.state.isdr.crls) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": 7, "part": 1}, 5),
        ({"number": 9, "part": 1}, 6),
        ({"number": 8, "part": 3}, 6),
        ({"number": 7, "total": 2}, 5),
        ({"number": 8, "part": 0}, 2),
        ({"number": 8, "part": 1, "total": 2}, 2),
        ({"number": 8, "total": 1 << 20}, 2),
    ],
)
def test_a_part_that_fits_to_no_base_is_refused(lab: Lab, fields: dict[str, int], code: int) -> None:
    """The base held is number 8 with two parts."""
    offered(lab, number=8, total=2)
    before = lab.card.state
    assert offered(lab, **fields) == f"bf35038101{code:02x}"
    assert lab.card.state == before


def test_a_part_without_any_base_is_refused(lab: Lab) -> None:
    assert offered(lab, number=1, part=1) == "bf3503810106"


def test_lists_that_do_not_fit_are_refused() -> None:
    lab = Lab(eim=False, has_load_crl=True, memory_octets=100)
    assert offered(lab, number=7) == "bf3503810103"
    lab = Lab(eim=False, has_load_crl=True, faults=Faults(is_out_of_memory=True))
    assert offered(lab, number=7) == "bf3503810103"
