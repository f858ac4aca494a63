"""Every procedure of the IPA once over real TLS sockets (downloads and packages: see test_ipa_tls)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.answering import answered
from tests.card_lab import EID, SMDP, metadata, world
from tests.e2e.test_ipa_tls import LIST, Field, pinned
from tests.https_peer import HttpsPeer
from tests.roles.ipa_lab import entry, iccid
from tests.roles.test_ipa_downloads import SMDS, ScriptedSmds
from tests.roles.test_ipa_local import with_fallback
from tests.roles.test_ipa_v1_0 import OldEim

from keim.ids import Iccid, Oid
from keim.io.tls import server_context
from keim.messages.download_trigger import ContactSmds, ProfileDownloadData, ProfileDownloadTriggerRequest
from keim.messages.esipa import StateChangeCause
from keim.messages.execution_status import Function
from keim.messages.ipa_data import IpaEuiccDataErrorCode
from keim.messages.package import (
    ConfigureImmediateEnablePsmo,
    EnablePsmo,
    Psmo,
)
from keim.smdp.rows import ProfileState
from keim.wire import es9p_json
from keim.wire.http import HttpRequest, HttpResponse


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    made = Field(tmp_path, entry(trusted_public_key_data_tls=pinned()))
    yield made
    made.close()


def trigger(**data: object) -> ProfileDownloadTriggerRequest:
    return ProfileDownloadTriggerRequest(
        profile_download_data=ProfileDownloadData(**data),  # type: ignore[arg-type]  # members of the type
        eim_transaction_id=b"\x01\x02",
    )


def test_a_data_request(field: Field) -> None:
    field.lab.eim.ask_data("8183A5A6A8A9BF20BF22A0A2", eim_transaction_id=b"\x07")
    assert field.run("run", "--once", "--json") == 0
    response = field.lab.eim.results[-1].ipa_euicc_data_response
    assert response is not None
    assert response.ipa_euicc_data is not None
    assert response.ipa_euicc_data.euicc_certificate is not None


def test_a_rollback_after_answers_that_are_none(field: Field) -> None:
    """A proxy of the new network answers with a page of its own."""
    field.lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    answers = field.lab.eim.mischief
    field.lab.eim.mischief = lambda request, answer: (
        b"<html>" if field.lab.enabled() == iccid(2) else answers(request, answer)
    )
    assert field.run("run", "--once", "--json") == 0
    assert field.lab.enabled() == iccid(1)
    signed = field.lab.eim.executed[1].euicc_package_result_signed
    assert signed is not None
    assert signed.euicc_package_result_data_signed.euicc_result[-1].rollback_result == 0
    assert field.lab.pending() == []


def test_fallback_and_return_by_hand(field: Field) -> None:
    with_fallback(field.lab)
    for word, enabled in (("fallback", iccid(3)), ("return", iccid(1))):
        assert field.run("control", word, "--yes") == 0
        assert field.lab.enabled() == enabled
        assert field.run("run", "--once", "--json") == 0
        assert field.lab.eim.polls[-1].state_change_cause == StateChangeCause.FALLBACK


def test_the_emergency_profile_by_hand(field: Field) -> None:
    field.lab.lab.power_on()
    field.lab.lab.download(3, metadata=metadata(3).replace(ecall_indication=True).encode())
    assert field.run("control", "emergency-on", "--yes") == 0
    field.lab.eim.ask_data("BF20")
    field.run("run", "--once", "--json")
    response = field.lab.eim.results[-1].ipa_euicc_data_response
    assert response is not None
    assert response.ipa_euicc_data_response_error is not None
    code = response.ipa_euicc_data_response_error.ipa_euicc_data_error_code
    assert code == IpaEuiccDataErrorCode.ECALL_ACTIVE
    assert field.run("control", "emergency-off", "--yes") == 0
    assert field.lab.enabled() == iccid(1)


def test_the_default_smdp(field: Field) -> None:
    number, _ = field.lab.smdp.order(eid=EID, matching_id="")
    field.lab.eim.trigger(trigger(contact_default_smdp=True))
    assert field.run("run", "--once", "--json", features=["direct"]) == 0
    assert field.lab.smdp.profile(number).state is ProfileState.INSTALLED


def test_the_events_of_an_smds(field: Field) -> None:
    orders = [field.lab.smdp.order(), field.lab.smdp.order()]
    smds = ScriptedSmds(*((matching_id, SMDP) for _, matching_id in orders))

    def answer(request: HttpRequest) -> HttpResponse:
        function = Function(request.path.rpartition("/")[2])
        return answered(es9p_json.write_reply(smds(es9p_json.read_request(function, request.body))))

    field.others[SMDS] = HttpsPeer(server_context(world().get("ds-tls"), for_devices=True), answer)
    field.lab.eim.trigger(trigger(contact_smds=ContactSmds(smds_address=SMDS)))
    assert field.run("run", "--once", "--json", features=["direct"]) == 0
    for number, _ in orders:
        assert field.lab.smdp.profile(number).state is ProfileState.INSTALLED


def test_an_immediate_enable(field: Field) -> None:
    configure = ConfigureImmediateEnablePsmo(immediate_enable_flag=True, default_smdp_oid=Oid("2.999.10"))
    field.lab.eim.package(Psmo(configure_immediate_enable=configure))
    number, matching_id = field.lab.smdp.order()
    field.lab.eim.trigger(trigger(activation_code=f"1${SMDP}${matching_id}"))
    assert field.run("run", "--once", "--json", features=["direct"]) == 0
    assert field.lab.enabled() == Iccid(number).octets


def test_compact_forms(field: Field) -> None:
    features = ["indirect", "minimize_esipa_bytes"]
    field.lab.eim.ask_data("A5A6BF22", eim_transaction_id=b"\x07")
    number, matching_id = field.lab.smdp.order()
    field.lab.eim.trigger(trigger(activation_code=f"1${SMDP}${matching_id}"))
    assert field.run("run", "--once", "--json", features=features, compact=True) == 0
    assert field.lab.smdp.profile(number).state is ProfileState.INSTALLED
    assert field.lab.eim.relay is not None
    assert field.lab.eim.relay.compact_forms == 2


def test_an_eim_of_v1_0(field: Field) -> None:
    old = OldEim(field.lab.eim)
    field.lab.eims[next(iter(field.lab.eims))] = old  # type: ignore[assignment]  # answers the same way
    old.newer.package(LIST)  # type: ignore[attr-defined]  # the eim behind it
    assert field.run("run", "--once", "--json", version="1.0") == 0
    assert list(old.newer.executed) == [1]  # type: ignore[attr-defined]  # as above
