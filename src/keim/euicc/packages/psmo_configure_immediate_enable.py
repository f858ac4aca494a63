"""PSMO configureImmediateEnable: flag present is on, absent is off; OID and address replace when present."""

from __future__ import annotations

from keim.euicc.isdr.immediate_configuration import configured
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import ConfigureImmediateEnablePsmo, ConfigureImmediateEnableResult

RESULT = 0x87


def configure_immediate_enable(run: PackageRun, command: ConfigureImmediateEnablePsmo) -> Outcome:
    if run.context.is_out_of_memory:
        return run.refused(RESULT, ConfigureImmediateEnableResult.INSUFFICIENT_MEMORY)
    state = configured(
        run.state, command.immediate_enable_flag, command.default_smdp_oid, command.default_smdp_address
    )
    if state is None:
        return run.refused(RESULT, ConfigureImmediateEnableResult.COMMAND_ERROR)
    return run.done(RESULT, state)
