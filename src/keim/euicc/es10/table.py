"""Root tag -> function, with the error that the standard has for a body that cannot be read.

Two tables: what every card offers, and what only an IoT eUICC does. Where a function has no error for bad
input the status word 6A80 stands for it (euicc.md section 1.5, procedures.md section 21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from keim.euicc.es10.addresses import (
    get_euicc_configured_addresses,
    set_default_dp_address,
    set_default_dp_address_of_sgp22,
)
from keim.euicc.es10.authenticate import authenticate_server
from keim.euicc.es10.cancel_session import cancel_session
from keim.euicc.es10.certs import get_certs
from keim.euicc.es10.challenge import get_euicc_challenge
from keim.euicc.es10.connectivity import get_connectivity_parameters
from keim.euicc.es10.eim_configuration import add_initial_eim, get_eim_configuration_data
from keim.euicc.es10.emergency import disable_emergency_profile, enable_emergency_profile
from keim.euicc.es10.fallback import execute_fallback_mechanism, return_from_fallback
from keim.euicc.es10.get_profiles_info import get_profiles_info
from keim.euicc.es10.immediate import immediate_enable
from keim.euicc.es10.immediate_configuration import configure_immediate_profile_enabling
from keim.euicc.es10.info import get_euicc_data, get_euicc_info1, get_euicc_info2, get_rat
from keim.euicc.es10.ipae import ipae_activation
from keim.euicc.es10.load_crl import load_crl_function
from keim.euicc.es10.local_profiles import delete_profile, disable_profile, enable_profile, set_nickname
from keim.euicc.es10.memory_reset import memory_reset, memory_reset_of_sgp22
from keim.euicc.es10.notifications import (
    list_notification,
    remove_notification_from_list,
    retrieve_notifications_list,
)
from keim.euicc.es10.prepare_download import prepare_download
from keim.euicc.es10.rollback import profile_rollback
from keim.euicc.isdr.fields import coded
from keim.euicc.packages.load import load_euicc_package

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


class Es10Function(Protocol):
    """Takes one complete data object, root tag included, and returns the complete response object."""

    def __call__(self, context: CardContext, request: bytes, /) -> bytes: ...


class Row(NamedTuple):
    function: Es10Function
    unreadable: bytes | None = None
    """The response to a body that is not the function's request; None: status word 6A80."""


def _row(tag: int, function: Es10Function, code: int | None = None, *, inner: int = 0x80) -> tuple[int, Row]:
    return tag, Row(function, None if code is None else coded(tag, code, inner=inner))


COMMON: Mapping[int, Row] = dict(
    (
        _row(0xBF20, get_euicc_info1),
        _row(0xBF21, prepare_download),
        _row(0xBF22, get_euicc_info2),
        _row(0xBF28, list_notification, 127, inner=0x81),
        _row(0xBF2B, retrieve_notifications_list, 127, inner=0x81),
        _row(0xBF2D, get_profiles_info, 1, inner=0x81),
        _row(0xBF2E, get_euicc_challenge),
        _row(0xBF30, remove_notification_from_list, 127),
        _row(0xBF35, load_crl_function),
        _row(0xBF38, authenticate_server),
        _row(0xBF3C, get_euicc_configured_addresses),
        _row(0xBF3E, get_euicc_data),
        _row(0xBF3F, set_default_dp_address_of_sgp22, 127),
        _row(0xBF41, cancel_session, 127, inner=0x81),
        _row(0xBF42, ipae_activation),
        _row(0xBF43, get_rat),
    )
)
ES10C: Mapping[int, Row] = dict(
    (
        _row(0xBF29, set_nickname, 127),
        _row(0xBF31, enable_profile, 127),
        _row(0xBF32, disable_profile, 127),
        _row(0xBF33, delete_profile, 127),
        _row(0xBF34, memory_reset_of_sgp22, 127),
    )
)
IOT: Mapping[int, Row] = dict(
    (
        _row(0xBF51, load_euicc_package),
        _row(0xBF55, get_eim_configuration_data),
        _row(0xBF56, get_certs, 127, inner=0x81),
        _row(0xBF57, add_initial_eim, 7, inner=0x81),
        _row(0xBF58, profile_rollback, 7, inner=0x02),
        _row(0xBF59, configure_immediate_profile_enabling, 127),
        _row(0xBF5A, immediate_enable, 127),
        _row(0xBF5B, enable_emergency_profile, 127),
        _row(0xBF5C, disable_emergency_profile, 127),
        _row(0xBF5D, execute_fallback_mechanism, 7),
        _row(0xBF5E, return_from_fallback, 7),
        _row(0xBF5F, get_connectivity_parameters),
        _row(0xBF64, memory_reset, 127),
        _row(0xBF65, set_default_dp_address, 127),
    )
)
FUNCTIONS: Mapping[int, Row] = {**COMMON, **ES10C, **IOT}
OF_THE_IPA_IN_CHARGE = frozenset({0xBF21, 0xBF2E, 0xBF36, 0xBF38, 0xBF41, 0xBF51, 0xBF58, 0xBF5A})
"""Refused from outside while the card itself plays the IPA (procedures.md section 15.5)."""


def row_of(context: CardContext, tag: int) -> Row | None:
    """What this card offers under a tag, by its configuration."""
    options = context.options
    if options.is_consumer:
        return None if tag in IOT else FUNCTIONS.get(tag)
    is_denied = options.es10c == "deny" or (options.es10c != "allow" and bool(context.state.isdr.eims))
    if tag in ES10C and is_denied:
        return None
    return FUNCTIONS.get(tag)
