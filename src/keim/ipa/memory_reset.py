"""eUICC memory reset by the device (procedures §15.1, SGP.32 §5.9.5). Imports its neighbours only."""

from __future__ import annotations

from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import call
from keim.ipa.events import LocalFunctionDone
from keim.ipa.initialise import read_eims
from keim.ipa.switch import settle_switch
from keim.messages.es10b import EuiccMemoryResetRequest, EuiccMemoryResetResponse, ResetOptions, ResetResult
from keim.messages.esipa import StateChangeCause

PROFILE_OPTIONS = (
    ResetOptions.DELETE_OPERATIONAL_PROFILES
    | ResetOptions.DELETE_FIELD_LOADED_TEST_PROFILES
    | ResetOptions.DELETE_PRE_LOADED_TEST_PROFILES
    | ResetOptions.DELETE_PROVISIONING_PROFILES
)


def reset_euicc_memory(ipa: Ipa, options: ResetOptions) -> Procedure[EuiccMemoryResetResponse]:
    """BF64. The eIMs that remain are told with cause reset(4)."""
    response = yield from call(ipa, EuiccMemoryResetRequest(reset_options=options), EuiccMemoryResetResponse)
    yield from ipa.tell(LocalFunctionDone("memory reset", response.reset_result.name.lower()))
    if options & ResetOptions.RESET_EIM_CONFIG_DATA:
        yield from read_eims(ipa)
    yield from ipa.note_cause(StateChangeCause.RESET)
    if response.reset_result == ResetResult.OK and options & PROFILE_OPTIONS:
        yield from settle_switch(ipa, "memory reset")
    return response
