"""Networks authenticate their subscribers' cards; a modem gets service for a profile that is truly there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.card_lab import SeededEntropy, identity

from keim.app.new_card import with_preloaded
from keim.euicc.card import Card
from keim.euicc.state import CardState
from keim.sim.network import HomeNetworks, Modem, WentDark
from keim.sim.plan import Subscriber, plan
from keim.sim.radio import Radio

DEVICE = plan(1, 1)[0]


@pytest.fixture
def radio() -> Iterator[Radio]:
    radio = Radio()
    radio.start()
    yield radio
    radio.stop()


def modem_of(radio: Radio, networks: HomeNetworks, subscriber: Subscriber | None = DEVICE.bootstrap) -> Modem:
    state = CardState()
    if subscriber is not None:
        state = with_preloaded(state, subscriber.package().encode(), is_enabled=True)
    return Modem(Card(identity(), SeededEntropy(1), state=state), networks, radio.bearer())


def networks_of(*subscribers: Subscriber) -> HomeNetworks:
    return HomeNetworks(subscribers, SeededEntropy(2))


def test_a_known_card_is_authenticated_and_served(radio: Radio) -> None:
    modem = modem_of(radio, networks_of(DEVICE.bootstrap))
    modem.reset()
    assert modem.imsi == DEVICE.bootstrap.imsi
    assert modem.is_authenticated
    assert modem.bearer.is_covered
    assert modem.plmn == bytes.fromhex("00F110")


def test_a_card_without_profile_finds_no_network(radio: Radio) -> None:
    modem = modem_of(radio, networks_of(DEVICE.bootstrap), None)
    modem.reset()
    assert modem.imsi == ""
    assert not modem.bearer.is_covered
    assert modem.plmn is None


def test_a_card_with_another_key_is_refused(radio: Radio) -> None:
    stolen = DEVICE.home
    other = Subscriber(
        iccid=stolen.iccid, imsi=DEVICE.bootstrap.imsi, ki=stolen.ki, opc=stolen.opc, name=stolen.name
    )
    modem = modem_of(radio, networks_of(other))
    modem.reset()
    assert modem.imsi == DEVICE.bootstrap.imsi
    assert not modem.is_authenticated
    assert not modem.attach()


def test_an_unknown_subscriber_is_refused(radio: Radio) -> None:
    modem = modem_of(radio, networks_of(DEVICE.home))
    modem.reset()
    assert not modem.is_authenticated


def test_a_network_that_forgot_the_sequence_number_learns_it_from_the_card(radio: Radio) -> None:
    modem = modem_of(radio, networks_of(DEVICE.bootstrap))
    for _ in range(5):
        modem.reset()
    modem._networks = networks_of(DEVICE.bootstrap)  # it was restarted: its next number is one of the past
    modem.reset()
    assert modem.is_authenticated
    first = modem._networks.challenge(DEVICE.bootstrap.imsi)
    assert first is not None
    assert modem._networks._sequences[DEVICE.bootstrap.imsi] >= 7


def test_a_forged_resynchronisation_is_refused() -> None:
    networks = networks_of(DEVICE.bootstrap)
    challenge = networks.challenge(DEVICE.bootstrap.imsi)
    assert challenge is not None
    for auts in (bytes(14), bytes(13), b""):
        assert not networks.resynchronise(DEVICE.bootstrap.imsi, challenge.rand, auts)
    assert networks._sequences[DEVICE.bootstrap.imsi] == 1


def test_without_coverage_there_is_no_service_until_it_comes(radio: Radio) -> None:
    networks = networks_of(DEVICE.bootstrap)
    networks.uncovered.add(DEVICE.bootstrap.imsi[:5])
    modem = modem_of(radio, networks)
    modem.reset()
    assert modem.is_authenticated
    assert modem.plmn is None
    networks.uncovered.clear()
    assert modem.attach()
    assert modem.plmn is not None


def test_a_power_cut_is_no_error_that_a_program_on_the_device_sees(radio: Radio) -> None:
    from keim.euicc.faults import Faults

    state = with_preloaded(CardState(), DEVICE.bootstrap.package().encode(), is_enabled=True)
    faults = Faults()
    card = Card(identity(), SeededEntropy(1), state=state, faults=faults)
    modem = Modem(card, networks_of(DEVICE.bootstrap), radio.bearer())
    modem.reset()
    faults.apdu = -1
    faults.cut_at_apdu = 0
    with pytest.raises(WentDark):
        modem.transmit(bytes.fromhex("00A40004023F00"))
    assert not modem.bearer.is_covered
