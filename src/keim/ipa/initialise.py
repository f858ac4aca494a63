"""The start of an IPA on a card (procedures §15.6): channel, EID, eIM list. Imports its neighbours only."""

from __future__ import annotations

from keim.ipa.card import CARD_ERRORS, open_isdr, recover
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure, UseConnectivity, ask
from keim.ipa.es10 import get_connectivity_parameters, get_eid, get_eim_configuration_data
from keim.ipa.events import Initialised
from keim.messages.esipa import StateChangeCause


def initialise(ipa: Ipa) -> Procedure[None]:
    try:
        yield from open_isdr(ipa)
        yield from _read_card(ipa)
    except CARD_ERRORS as failure:
        yield from recover(ipa, str(failure))
        yield from _read_card(ipa)
    yield from ipa.tell(Initialised(ipa.eid_text, tuple(eim.eim_id for eim in ipa.eims)))
    yield from _note_device_change(ipa)
    yield from use_connectivity(ipa)


def _read_card(ipa: Ipa) -> Procedure[None]:
    ipa.eid = yield from get_eid(ipa)
    yield from read_eims(ipa)


def read_eims(ipa: Ipa) -> Procedure[None]:
    """BF55: the plan of polling is the card's list, read anew after every eCO (procedures §3.4 step 6)."""
    yield from ipa.know((yield from get_eim_configuration_data(ipa)))


def _note_device_change(ipa: Ipa) -> Procedure[None]:
    """Cause deviceChange(6): the card was in another device before (procedures §15.5)."""
    imei = ipa.configuration.device.imei
    if imei is None or imei == ipa.memory.imei:
        return
    is_change = ipa.memory.imei is not None
    yield from ipa.remember(imei=imei)
    if is_change:
        yield from ipa.note_cause(StateChangeCause.DEVICE_CHANGE)


def use_connectivity(ipa: Ipa) -> Procedure[None]:
    """The enabled profile's parameters go to the bearer before it connects (procedures §15.2)."""
    if not ipa.configuration.is_connectivity_asked:
        return
    try:
        response = yield from get_connectivity_parameters(ipa)
    except CARD_ERRORS:
        return  # a consumer card has no such function; the bearer keeps its own settings
    parameters = response.connectivity_parameters
    yield from ask(UseConnectivity(parameters.http_params if parameters is not None else None))
