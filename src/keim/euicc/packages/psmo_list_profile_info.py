"""PSMO listProfileInfo: GetProfilesInfo inside a package, with the nine fields of SGP.32 by default."""

from __future__ import annotations

from keim.der import read_tlv
from keim.euicc.isdr.fields import coded
from keim.euicc.isdr.profile_list import PSMO_DEFAULT, profile_list
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.profile import ProfileInfoListError, ProfileInfoListRequest


def list_profile_info(run: PackageRun, command: ProfileInfoListRequest) -> Outcome:
    if run.has_enabled or run.has_disabled or run.has_deleted:
        ongoing = coded(0xBF2D, ProfileInfoListError.PROFILE_CHANGE_ONGOING, inner=0x81)
        return Outcome(ongoing, run.state, False)
    answer = profile_list(run.state, command, PSMO_DEFAULT)
    return Outcome(answer, run.state, answer[read_tlv(answer).content] == 0xA0)
