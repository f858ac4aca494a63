"""GetEimConfigurationData (SGP.32 clause 5.9.18) and AddInitialEim (clause 5.9.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.euicc.isdr.eims import added, check, shown
from keim.euicc.isdr.fields import coded, read
from keim.messages.es10b import (
    AddInitialEimError,
    AddInitialEimOk,
    AddInitialEimRequest,
    AddInitialEimResponse,
    GetEimConfigurationDataRequest,
    GetEimConfigurationDataResponse,
)
from keim.messages.package import AddEimResultCode

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def get_eim_configuration_data(context: CardContext, request: bytes) -> bytes:
    search = read(GetEimConfigurationDataRequest, request).search_criteria
    eims = context.state.isdr.eims
    found = [eim for eim in eims if search is None or eim.eim_id == search.eim_id]
    return GetEimConfigurationDataResponse(
        eim_configuration_data_list=tuple(shown(eim) for eim in found)
    ).encode()


def add_initial_eim(context: CardContext, request: bytes) -> bytes:
    """All entries or none; open only while no eIM is associated."""
    entries = read(AddInitialEimRequest, request).eim_configuration_data_list
    if context.state.isdr.eims:
        return _refused(AddInitialEimError.ASSOCIATED_EIM_ALREADY_EXISTS)
    identities = [data.eim_id for data in entries]
    if not entries:
        return _refused(AddInitialEimError.COMMAND_ERROR)
    keys: list[bytes] = []
    found: list[AddEimResultCode] = []
    for data in entries:
        outcome = check(context, data, ())
        if isinstance(outcome, bytes):
            keys.append(outcome)
        else:
            found.append(outcome)
    if len(set(identities)) != len(identities):
        found.append(AddEimResultCode.COMMAND_ERROR)
    if len(entries) > context.options.eims_at_most:
        found.append(AddEimResultCode.INSUFFICIENT_MEMORY)
    if found:
        return _refused(AddInitialEimError(int(min(found, key=_ORDER.index))))
    state, answers = context.state, []
    for data, key in zip(entries, keys, strict=True):
        state, token = added(state, data, key)
        is_generated = data.association_token is not None and token is not None
        answers.append(
            AddInitialEimOk(association_token=token) if is_generated else AddInitialEimOk(add_ok=True)
        )
    context.commit("add initial eIM", state)
    return AddInitialEimResponse(add_initial_eim_ok=tuple(answers)).encode()


_ORDER = (
    AddEimResultCode.ASSOCIATED_EIM_ALREADY_EXISTS,
    AddEimResultCode.CI_PK_UNKNOWN,
    AddEimResultCode.INVALID_ASSOCIATION_TOKEN,
    AddEimResultCode.COUNTER_VALUE_OUT_OF_RANGE,
    AddEimResultCode.COMMAND_ERROR,
    AddEimResultCode.INSUFFICIENT_MEMORY,
)
"""One error rejects the whole list: of several the first of these (procedures.md section 3.3)."""


def _refused(error: AddInitialEimError) -> bytes:
    return coded(0xBF57, error, inner=0x81)
