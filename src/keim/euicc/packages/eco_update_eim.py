"""eCO updateEim: what is given replaces, what is absent stays; a token is ignored."""

from __future__ import annotations

from msgspec.structs import replace

from keim.euicc.isdr.eims import (
    configuration_of,
    eim_of,
    is_counter,
    knows_ci,
    public_key_of,
    shared,
    stored_form,
)
from keim.euicc.isdr_state import Eim
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import EimConfigurationData, UpdateEimResult

RESULT = 0x8A


def update_eim(run: PackageRun, command: EimConfigurationData) -> Outcome:
    eim = eim_of(run.state, command.eim_id)
    if eim is None:
        return run.refused(RESULT, UpdateEimResult.EIM_NOT_FOUND)
    if not knows_ci(run.context, command.euicc_ci_pk_id):
        return run.refused(RESULT, UpdateEimResult.CI_PK_UNKNOWN)
    key: bytes | None = eim.public_key
    if command.eim_public_key_data is not None:
        key = public_key_of(command.eim_public_key_data)
    counter = command.counter_value
    if counter is not None:
        # Only another key makes earlier packages worthless, so only then may the counter go back.
        is_behind = counter < eim.counter_value and key == eim.public_key
        if not is_counter(counter) or is_behind:
            return run.refused(RESULT, UpdateEimResult.COUNTER_VALUE_OUT_OF_RANGE)
    if key is None:
        return run.refused(RESULT, UpdateEimResult.COMMAND_ERROR)
    updated = _updated(eim, command, shared(key))
    isdr = run.state.isdr
    eims = tuple(updated if entry is eim else entry for entry in isdr.eims)
    return run.done(RESULT, replace(run.state, isdr=replace(isdr, eims=eims)))


def _updated(eim: Eim, command: EimConfigurationData, key: bytes) -> Eim:
    former = configuration_of(eim)
    given = {
        name: value
        for name in former.__struct_fields__
        if name not in ("raw", "ext", "eim_id") and (value := getattr(command, name)) not in (None, False)
    }
    return replace(
        eim,
        counter_value=eim.counter_value if command.counter_value is None else command.counter_value,
        public_key=key,
        ci_pk_id=command.euicc_ci_pk_id or eim.ci_pk_id,
        configuration=stored_form(former.replace(**given)),
    )
