"""eCO deleteEim: removing the last one succeeds with lastEimDeleted(2), and AddInitialEim works again."""

from __future__ import annotations

from msgspec.structs import replace

from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import DeleteEimEco, DeleteEimResult

RESULT = 0x89


def delete_eim(run: PackageRun, command: DeleteEimEco) -> Outcome:
    isdr = run.state.isdr
    kept = tuple(eim for eim in isdr.eims if eim.eim_id != command.eim_id)
    if len(kept) == len(isdr.eims):
        return run.refused(RESULT, DeleteEimResult.EIM_NOT_FOUND)
    code = DeleteEimResult.OK if kept else DeleteEimResult.LAST_EIM_DELETED
    return run.done(RESULT, replace(run.state, isdr=replace(isdr, eims=kept)), code)
