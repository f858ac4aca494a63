"""PSMO setDefaultDpAddress: the same store as BF65 and BF3F."""

from __future__ import annotations

from keim.euicc.isdr.addresses import with_default_address
from keim.euicc.isdr.fields import coded
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.common import SetDefaultDpAddressRequest, SetDefaultDpAddressResult


def set_default_dp_address(run: PackageRun, command: SetDefaultDpAddressRequest) -> Outcome:
    state = with_default_address(run.state, command.default_dp_address)
    if state is None:
        return Outcome(coded(0xBF65, SetDefaultDpAddressResult.UNDEFINED_ERROR), run.state, False)
    return Outcome(coded(0xBF65, SetDefaultDpAddressResult.OK), state)
