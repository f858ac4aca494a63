"""eCO addEim (SGP.32 clause 3.5.1.1)."""

from __future__ import annotations

from keim.der import tlv
from keim.euicc.isdr.eims import added, check
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import AddEimResult, AddEimResultCode, EimConfigurationData

RESULT = 0xA8


def add_eim(run: PackageRun, command: EimConfigurationData) -> Outcome:
    outcome = check(run.context, command, run.state.isdr.eims)
    if not isinstance(outcome, bytes):
        return Outcome(_result(AddEimResult(add_eim_result_code=outcome)), run.state, False)
    state, token = added(run.state, command, outcome)
    if token is not None:
        return Outcome(_result(AddEimResult(association_token=token)), state)
    return Outcome(_result(AddEimResult(add_eim_result_code=AddEimResultCode.OK)), state)


def _result(value: AddEimResult) -> bytes:
    return tlv(RESULT, value.encode())
