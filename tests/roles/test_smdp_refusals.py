"""Every status code of ES9+ in bindings §8.4, each provoked by a message that deserves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.scripted_euicc import EIDS, NOW, ScriptedEuicc, smdp, with_rules
from tests.smdp_laboratory import Laboratory

from keim.ids import Iccid
from keim.messages import execution_status as codes
from keim.messages.execution_status import Failure, Function, StatusCode, code_of, integer_of
from keim.messages.profile import PprIds
from keim.pki import Role
from keim.pki.issue import Particulars
from keim.pki.world import WorldPlan, add, create_world, rotate
from keim.smdp.rows import ProfileState


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    laboratory = Laboratory()
    yield laboratory
    laboratory.close()


def refusal(reply: Any) -> StatusCode:
    assert isinstance(reply, Failure), reply
    assert reply.message
    return reply.code


INITIATE: list[tuple[StatusCode, Callable[[ScriptedEuicc], Any]]] = [
    (codes.SMDP_ADDRESS_REFUSED, lambda card: card.initiate(smdp_address="other.example.com")),
    (codes.SMDP_VERSION_UNSUPPORTED, lambda card: card.initiate(euicc_info1=card.info1(svn=b"\3\0\0"))),
    (codes.SMDP_VERSION_UNSUPPORTED, lambda card: card.initiate(euicc_info1=card.info1(svn=b"\1\5\0"))),
    (
        codes.SMDP_NO_COMMON_CI,
        lambda card: card.initiate(euicc_info1=card.info1(euicc_ci_pk_id_list_for_verification=(bytes(20),))),
    ),
    (
        codes.SMDP_NO_COMMON_CI,
        lambda card: card.initiate(euicc_info1=card.info1(euicc_ci_pk_id_list_for_signing=(bytes(20),))),
    ),
]


@pytest.mark.parametrize(("code", "request_of"), INITIATE)
def test_initiate_authentication_is_refused(
    lab: Laboratory, code: StatusCode, request_of: Callable[[ScriptedEuicc], Any]
) -> None:
    assert refusal(lab.ask(request_of(ScriptedEuicc()))) == code


def test_a_trusted_ci_without_a_certificate_of_ours_has_its_own_code() -> None:
    settings = smdp()
    server = msgspec.structs.replace(settings.server, identities=())
    lab = Laboratory(msgspec.structs.replace(settings, server=server))
    assert refusal(lab.ask(ScriptedEuicc().initiate())) == codes.SMDP_CERTIFICATE_UNAVAILABLE
    lab.close()


def test_the_address_is_compared_without_case_and_port(lab: Laboratory) -> None:
    card = ScriptedEuicc(address="SMDPplus.example.com:8443")
    card.accept_server(lab.ask(card.initiate()))
    assert card.opened.server_signed1.server_address == "smdpplus.example.com"


def _expired_euicc(card: ScriptedEuicc) -> dict[str, Any]:
    """The card's certificate, issued for a day that is long over, under the right EUM."""
    eum = card.world.get("eum")
    old = add(
        "old",
        Role.EUICC,
        eum,
        Particulars(subject={"C": "DE", "O": "keim Test EUM", "CN": "keim Test eUICC"}, eid=card.eid, days=1),
        now=NOW - timedelta(days=30),
        public_key=card.credential.private_key.public_key(),
    )
    return {"euicc_certificate": old.certificate.der}


def _expired_eum(card: ScriptedEuicc) -> dict[str, Any]:
    given = rotate(card.world, "eum", now=NOW - timedelta(days=30), keep_key=True, days=1)
    return {"eum_certificate": given.get("eum").certificate.der}


def _foreign(card: ScriptedEuicc) -> dict[str, Any]:
    """A perfect card of a CI that nobody here trusts."""
    other = create_world(WorldPlan(eids=(card.eid,)), now=NOW)
    credential = other.euicc(card.eid)
    return {
        "euicc_certificate": credential.certificate.der,
        "eum_certificate": credential.chain[0].der,
    }


def _out_of_range(card: ScriptedEuicc) -> dict[str, Any]:
    stray = add(
        "stray",
        Role.EUICC,
        card.world.get("eum"),
        Particulars(
            subject={"C": "DE", "O": "keim Test EUM", "CN": "keim Test eUICC"},
            eid="89049032123451234512345678901235",
        ),
        now=NOW,
        public_key=card.credential.private_key.public_key(),
    )
    return {"euicc_certificate": stray.certificate.der}


def _damaged(octets: bytes) -> bytes:
    return octets[:-1] + bytes((octets[-1] ^ 1,))


AUTHENTICATE: list[tuple[StatusCode, Callable[[ScriptedEuicc], Any]]] = [
    (
        codes.EUM_CERTIFICATE_INVALID,
        lambda card: card.authenticate(eum_certificate=_damaged(card.eum.der)),
    ),
    (codes.EUM_CERTIFICATE_INVALID, lambda card: card.authenticate(eum_certificate=b"\x30\x00")),
    (codes.EUM_CERTIFICATE_EXPIRED, lambda card: card.authenticate(**_expired_eum(card))),
    (
        codes.EUICC_CERTIFICATE_INVALID,
        lambda card: card.authenticate(euicc_certificate=_damaged(card.credential.certificate.der)),
    ),
    (codes.EUICC_CERTIFICATE_INVALID, lambda card: card.authenticate(euicc_certificate=b"\x30\x00")),
    (codes.EUICC_CERTIFICATE_INVALID, lambda card: card.authenticate(**_out_of_range(card))),
    (codes.EUICC_CERTIFICATE_EXPIRED, lambda card: card.authenticate(**_expired_euicc(card))),
    (codes.CI_UNKNOWN, lambda card: card.authenticate(**_foreign(card))),
    (
        codes.EUICC_SIGNATURE_INVALID,
        lambda card: card.authenticate(euicc_signature1=bytes(31) + b"\1" + bytes(31) + b"\1"),
    ),
    (
        codes.EUICC_SIGNATURE_INVALID,
        lambda card: card.authenticate(card.signed1(server_challenge=bytes(16))),
    ),
    (
        codes.EUICC_SIGNATURE_INVALID,
        lambda card: card.authenticate(card.signed1(server_address="other.example.com")),
    ),
    (codes.EUICC_SIGNATURE_INVALID, lambda card: card.authenticate_error()),
    (
        codes.TRANSACTION_UNKNOWN,
        lambda card: card.authenticate(card.signed1(transaction_id=bytes(16))),
    ),
    (
        codes.TRANSACTION_UNKNOWN,
        lambda card: card.authenticate().replace(transaction_id=bytes(16)),
    ),
]


@pytest.mark.parametrize(("code", "request_of"), AUTHENTICATE)
def test_authenticate_client_is_refused_and_the_order_unharmed(
    lab: Laboratory, code: StatusCode, request_of: Callable[[ScriptedEuicc], Any]
) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    before = lab.profile(number)
    assert refusal(lab.ask(request_of(card))) == code
    assert lab.profile(number) == before
    honest = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(honest)


def test_an_unknown_matching_id_is_refused(lab: Laboratory) -> None:
    for matching_id in ("NOT-THERE", None):
        card = ScriptedEuicc(matching_id=matching_id)
        lab.open(card)
        assert refusal(lab.ask(card.authenticate())) == codes.MATCHING_ID_REFUSED


def test_an_order_for_another_eid_is_refused(lab: Laboratory) -> None:
    _, matching_id = lab.order(eid=EIDS[1])
    card = ScriptedEuicc(EIDS[0], matching_id=matching_id)
    lab.open(card)
    assert refusal(lab.ask(card.authenticate())) == codes.EID_MISMATCH


def test_an_order_that_is_not_released_is_refused(lab: Laboratory) -> None:
    _, matching_id = lab.order(release=False)
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    assert refusal(lab.ask(card.authenticate())) == codes.PROFILE_NOT_RELEASED


INELIGIBLE = [
    (codes.NO_ELIGIBLE_PROFILE, {"forbidden": PprIds.PPR1}, {}),
    (codes.NO_ELIGIBLE_PROFILE, {}, {"profile_version": b"\x02\x03\x01"}),
    (codes.INSUFFICIENT_MEMORY, {"free_memory": 100}, {}),
]


@pytest.mark.parametrize(("code", "card_arguments", "info2"), INELIGIBLE)
def test_an_ineligible_eUICC_ends_the_order(
    lab: Laboratory, code: StatusCode, card_arguments: dict[str, Any], info2: dict[str, Any]
) -> None:
    number, matching_id = lab.order(policy_rules=PprIds.PPR1)
    card = ScriptedEuicc(matching_id=matching_id, **card_arguments)
    lab.open(card)
    assert refusal(lab.ask(card.authenticate(card.signed1(euicc_info2=card.info2(**info2))))) == code
    assert lab.profile(number).state is ProfileState.ERROR


def test_an_order_that_has_expired_is_refused_at_either_step() -> None:
    lab = Laboratory(smdp(order_lifetime=timedelta(minutes=5)))
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.offer(card)
    lab.later(minutes=6)
    assert refusal(lab.ask(card.prepare())) == codes.ORDER_EXPIRED
    again = ScriptedEuicc(matching_id=matching_id)
    lab.open(again)
    assert refusal(lab.ask(again.authenticate())) == codes.ORDER_EXPIRED
    lab.close()


def test_after_too_many_downloads_the_order_is_over() -> None:
    lab = Laboratory(smdp(download_attempts=2))
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.deliver(card)
    lab.open(card)
    assert refusal(lab.ask(card.authenticate())) == codes.DOWNLOAD_RETRIES
    assert lab.profile(number).state is ProfileState.ERROR
    lab.close()


PREPARE: list[tuple[StatusCode, Callable[[ScriptedEuicc], Any]]] = [
    (
        codes.EUICC_SIGNATURE_INVALID,
        lambda card: card.prepare(euicc_signature2=bytes(31) + b"\1" + bytes(31) + b"\1"),
    ),
    (codes.EUICC_SIGNATURE_INVALID, lambda card: card.prepare_error()),
    (codes.EUICC_SIGNATURE_INVALID, lambda card: card.prepare(card.signed2(euicc_otpk=b"\4" + bytes(64)))),
    (codes.TRANSACTION_UNKNOWN, lambda card: card.prepare(card.signed2(transaction_id=bytes(16)))),
    (codes.TRANSACTION_UNKNOWN, lambda card: card.prepare().replace(transaction_id=bytes(16))),
]


@pytest.mark.parametrize(("code", "request_of"), PREPARE)
def test_get_bound_profile_package_is_refused_and_the_order_unharmed(
    lab: Laboratory, code: StatusCode, request_of: Callable[[ScriptedEuicc], Any]
) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.offer(card)
    assert refusal(lab.ask(request_of(card))) == code
    assert lab.profile(number).state is ProfileState.RELEASED


def test_the_confirmation_code_is_needed_and_its_tries_are_counted(lab: Laboratory) -> None:
    number, matching_id = lab.order(code="4711")
    card = ScriptedEuicc(matching_id=matching_id)
    lab.offer(card)
    assert card.offer.smdp_signed2.cc_required_flag
    assert refusal(lab.ask(card.prepare())) == codes.CONFIRMATION_CODE_MISSING
    assert lab.profile(number).code_attempts == 0
    for expected in (
        codes.CONFIRMATION_CODE_REFUSED,
        codes.CONFIRMATION_CODE_REFUSED,
        codes.CONFIRMATION_CODE_RETRIES,
    ):
        card = ScriptedEuicc(matching_id=matching_id, code="4712")
        lab.offer(card)
        wrong = card.prepare()
        assert refusal(lab.ask(wrong)) == expected
        assert refusal(lab.ask(wrong)) == codes.TRANSACTION_UNKNOWN, "a refused session cannot be retried"
    assert lab.profile(number).state is ProfileState.ERROR
    card = ScriptedEuicc(matching_id=matching_id, code="4711")
    lab.open(card)
    assert refusal(lab.ask(card.authenticate())) == codes.PROFILE_NOT_RELEASED


def test_a_new_one_time_key_is_refused_where_the_rules_say_so() -> None:
    lab = Laboratory(with_rules(smdp(), may_rebind=False))
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.offer(card)
    card.one_time_key = card.suite.new_one_time_key()
    assert refusal(lab.ask(card.prepare())) == codes.REBINDING_REFUSED
    lab.close()


def test_one_session_never_gets_a_package_for_two_keys(lab: Laboratory) -> None:
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    card.one_time_key = card.suite.new_one_time_key()
    assert refusal(lab.ask(card.prepare())) == codes.REBINDING_REFUSED


def test_a_session_that_has_expired_is_unknown(lab: Laboratory) -> None:
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.offer(card)
    lab.later(minutes=11)
    for request in (card.prepare(), card.cancel(127), card.authenticate()):
        assert refusal(lab.ask(request)) == codes.TRANSACTION_UNKNOWN


CANCEL: list[tuple[StatusCode, Callable[[ScriptedEuicc], Any]]] = [
    (codes.TRANSACTION_UNKNOWN, lambda card: card.cancel(0).replace(transaction_id=bytes(16))),
    (codes.TRANSACTION_UNKNOWN, lambda card: card.cancel(0, transaction_id=bytes(16))),
    (codes.EUICC_SIGNATURE_INVALID, lambda card: card.cancel(0, signature=bytes(31) + b"\1" * 33)),
    (codes.SMDP_OID_WRONG, lambda card: card.cancel(0, oid="2.999.99")),
]


@pytest.mark.parametrize(("code", "request_of"), CANCEL)
def test_cancel_session_is_refused_and_the_order_unharmed(
    lab: Laboratory, code: StatusCode, request_of: Callable[[ScriptedEuicc], Any]
) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.offer(card)
    assert refusal(lab.ask(request_of(card))) == code
    assert lab.profile(number).state is ProfileState.RELEASED
    card.open(lab.ask(card.prepare()))


def test_a_stranger_cannot_take_over_a_transaction(lab: Laboratory) -> None:
    """Knowing the number is not enough: no step takes another eUICC's signature or ends the session."""
    number, matching_id = lab.order()
    card, stranger = ScriptedEuicc(matching_id=matching_id), ScriptedEuicc(EIDS[1], matching_id=matching_id)
    lab.offer(card)
    stranger.opened, stranger.transaction_id = card.opened, card.transaction_id
    assert refusal(lab.ask(stranger.authenticate())) == codes.TRANSACTION_UNKNOWN
    stranger.offer = card.offer
    assert refusal(lab.ask(stranger.prepare())) == codes.EUICC_SIGNATURE_INVALID
    assert refusal(lab.ask(stranger.cancel(0))) == codes.EUICC_SIGNATURE_INVALID
    card.open(lab.ask(card.prepare()))
    lab.ask(card.result(Iccid(number)))
    assert lab.profile(number).bound_eid == card.eid


@pytest.mark.parametrize("function", list(Function))
def test_the_numbers_of_the_asn1_binding_lead_back_to_a_code_of_the_same_number(
    function: Function,
) -> None:
    for code, number in codes.INTEGERS[function].items():
        assert integer_of(function, code) == number
        assert integer_of(function, code_of(function, number)) == number
    assert integer_of(function, codes.DOWNLOAD_RETRIES) == 127
    assert code_of(function, 126) == codes.FUNCTION_FAILED


@pytest.mark.parametrize("number", [-1, 1 << 63, 1 << 200])
def test_a_result_with_an_absurd_number_is_acknowledged_only(lab: Laboratory, number: int) -> None:
    iccid, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    assert lab.ask(card.result(Iccid(iccid), sequence_number=number)) is None
    assert lab.profile(iccid).state is ProfileState.DOWNLOADED
    assert lab.ask(card.result(Iccid(iccid))) is None
    assert lab.profile(iccid).state is ProfileState.INSTALLED
