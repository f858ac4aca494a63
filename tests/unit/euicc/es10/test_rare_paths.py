"""What seldom happens on a card: broken profiles, vanished targets, busy moments, memory at its end."""

from __future__ import annotations

import msgspec
import pytest
from tests.card_lab import Lab, configuration, iccid, metadata, world
from tests.unit.euicc.es10.test_ecos import SPOILT_CERTIFICATE
from tests.unit.euicc.es10.test_psmos import codes, delete, disable, enable, fallback, lab_with
from tests.unit.euicc.es10.test_special_switches import code, configure, ready

from keim.der import tlv
from keim.euicc import es10
from keim.euicc.context import CardContext
from keim.euicc.faults import Faults
from keim.euicc.isdr.pending import CAPACITY
from keim.messages.common import NotificationEvent
from keim.messages.notification import ListNotificationResponse
from keim.messages.package import ConfigureImmediateEnablePsmo, Eco, EimConfigurationData, Psmo
from keim.messages.profile import NotificationConfigurationInformation, ProfileClass
from keim.pki.load_crl import request_of

A, B, C = iccid(1), iccid(2), iccid(3)


def fallback_lab() -> Lab:
    lab = Lab()
    lab.download(1, metadata={"fallback_allowed": True})
    lab.download(2)
    assert codes(lab, fallback(A), enable(B)) == [0, 0]
    return lab


def test_a_profile_that_cannot_run_gives_way_to_the_fallback_profile() -> None:
    lab = fallback_lab()
    es10.disable_broken_profile(CardContext(lab.card, 0))
    assert lab.enabled() == A
    assert lab.states() == {A: True, B: False}


def test_without_fallback_nothing_is_enabled_then() -> None:
    lab = lab_with(1, enabled=1)
    es10.disable_broken_profile(CardContext(lab.card, 0))
    assert lab.enabled() is None
    es10.disable_broken_profile(CardContext(lab.card, 0))
    assert lab.states() == {A: False}


def test_memory_reset_leaves_no_link_to_what_it_removed() -> None:
    lab = fallback_lab()
    assert code(lab, "BF5D03800100") == 0
    assert lab.card.state.isdr.links.fallback_return != b""
    lab.results(enable(B, rollback=True))
    lab.es10("BF640482020780")
    isdr = lab.card.state.isdr
    assert (isdr.links.fallback_return, isdr.fallback_profile, isdr.rollback) == (b"", b"", None)


def test_a_vanished_return_profile_is_not_returned_to() -> None:
    lab = Lab()
    lab.download(1, metadata={"fallback_allowed": True, "profile_class": ProfileClass.PROVISIONING})
    lab.download(2)
    assert codes(lab, fallback(A), enable(B)) == [0, 0]
    assert code(lab, "BF5D03800100") == 0
    lab.es10("BF640482020780")
    assert lab.states() == {A: True}
    assert code(lab, "BF5E03800100") == 6


@pytest.mark.parametrize("request_", ["BF5B03800100", "BF5A03800100"])
def test_a_busy_terminal_delays_local_switches(request_: str) -> None:
    faults = Faults()
    lab = Lab(eim=False, faults=faults)
    configure(lab)
    lab.download(3, metadata={"emergency": True})
    faults.is_busy = True
    assert code(lab, request_) == 5
    faults.is_busy = False
    assert code(lab, request_) == 0


def test_a_busy_terminal_delays_the_ways_back() -> None:
    faults = Faults()
    lab = ready(faults=faults)
    assert code(lab, "BF5B03800100") == 0
    faults.is_busy = True
    assert code(lab, "BF5C03800100") == 5
    faults.is_busy = False
    assert code(lab, "BF5C03800100") == 0
    lab.results(enable(B))
    assert code(lab, "BF5D03800100") == 0
    faults.is_busy = True
    assert code(lab, "BF5E03800100") == 5


def test_an_emergency_keeps_local_commands_away() -> None:
    lab = ready()
    assert code(lab, "BF5B03800100") == 0
    assert lab.es10(tlv(0xBF33, tlv(0x5A, B)))[5] == 127
    assert lab.es10(tlv(0xBF32, tlv(0xA0, tlv(0x5A, C)), tlv(0x81, b"\x00")))[5] == 5
    assert code(lab, "BF5A03800100") == 5


def test_a_return_profile_is_not_deleted_locally() -> None:
    lab = fallback_lab()
    assert code(lab, "BF5D03800100") == 0
    assert lab.es10(tlv(0xBF33, tlv(0x5A, B)))[5] == 127


def test_an_exhausted_memory_has_its_code_everywhere() -> None:
    faults = Faults()
    lab = Lab(eim=False, faults=faults, has_load_crl=True)
    faults.is_out_of_memory = True
    assert lab.es10("BF59028000").hex() == "bf5903800101"
    assert lab.es10(tlv(0xBF57, tlv(0xA0, configuration().encode()))).hex() == "bf5703810101"
    assert lab.es10(request_of(world().crls[0])).hex() == "bf3503810103"
    faults.is_out_of_memory = False
    lab.associate()
    faults.is_out_of_memory = True
    on = Psmo(configure_immediate_enable=ConfigureImmediateEnablePsmo(immediate_enable_flag=True))
    assert codes(lab, on) == [1]


def test_addresses_end_at_128_octets() -> None:
    lab = Lab(eim=False)
    long = tlv(0x80, b"x" * 129)
    assert lab.es10(tlv(0xBF65, long)).hex() == "bf6503" + "80017f"
    assert lab.es10(tlv(0xBF3F, long)).hex() == "bf3f03" + "80017f"
    assert lab.es10(tlv(0xBF59, tlv(0x80), tlv(0x82, b"x" * 129))).hex() == "bf590380017f"
    assert lab.es10("BF3F03800161").hex() == "bf3f03800100"
    assert b"\x80\x01a" in lab.es10("BF3C00")


def test_a_damaged_update_of_an_eim_is_a_command_error() -> None:

    spoilt = Eco(
        update_eim=EimConfigurationData(eim_id="eim.example.com", eim_public_key_data=SPOILT_CERTIFICATE)
    )
    assert Lab().results(spoilt) == [("update_eim_result", 7)]


def filled(lab: Lab, leave: int) -> None:
    """Notifications until so much room is left: a download that fails leaves one each time."""
    isdr = lab.card.state.isdr
    while CAPACITY - len(lab.card.state.isdr.notifications) - len(lab.card.state.isdr.results) > leave:
        lab.download(1)
    assert isdr is not lab.card.state.isdr


def test_a_full_store_refuses_what_would_have_to_be_announced() -> None:
    lab = lab_with(1, 2, enabled=1)
    filled(lab, 2)
    assert lab.es10(tlv(0xBF31, tlv(0xA0, tlv(0x5A, B)), tlv(0x81, b"\x00")))[5] == 127
    assert lab.es10(tlv(0xBF32, tlv(0xA0, tlv(0x5A, A)), tlv(0x81, b"\x00")))[5] == 127
    assert codes(lab, enable(B)) == [127]
    assert codes(lab, disable(A)) == [127] if len(lab.card.state.isdr.results) < CAPACITY else True
    with pytest.raises(AssertionError, match="127"):
        lab.prepare()
    assert lab.enabled() == A


def test_a_full_store_refuses_a_delete() -> None:
    lab = lab_with(1, 2, enabled=1)
    filled(lab, 1)
    assert codes(lab, delete(B)) == [127]
    assert lab.es10(tlv(0xBF33, tlv(0x5A, B)))[5] == 127


def test_an_endless_package_is_stopped() -> None:
    lab = Lab(eim=False, memory_octets=2000)
    octets = lab.download(1, upp=bytes.fromhex("3082 1000".replace(" ", "")) + bytes(4096))
    assert octets.count(bytes.fromhex("A10680010581010A")) == 1


def test_each_profile_announces_only_the_events_of_its_own_configuration() -> None:
    event = NotificationEvent
    entries = tuple(
        NotificationConfigurationInformation(
            profile_management_operation=events, notification_address=address
        )
        for events, address in (
            (event.NOTIFICATION_DELETE, "d.example"),
            (event.NOTIFICATION_ENABLE | event.NOTIFICATION_DISABLE, "s.example"),
        )
    )
    lab = Lab()
    fields = metadata(1).replace(notification_configuration_info=entries)
    lab.download(1, metadata=fields.encode())
    assert codes(lab, enable(A)) == [0]
    assert codes(lab, disable(A), delete(A)) == [0, 0]
    listed = ListNotificationResponse.decode(lab.es10("BF2800")).notification_metadata_list or ()
    found = [(n.notification_address, n.profile_management_operation.names[0][13:]) for n in listed[1:]]
    assert found == [("s.example", "ENABLE"), ("s.example", "DISABLE"), ("d.example", "DELETE")]


def test_secrets_do_not_print() -> None:
    lab = Lab(eim=False)
    lab.prepare()
    record = lab.card.state.isdr.one_time_key
    assert record is not None
    assert record.scalar.hex() not in repr(lab.card.state)
    assert msgspec.structs.asdict(record)["scalar"] == record.scalar
