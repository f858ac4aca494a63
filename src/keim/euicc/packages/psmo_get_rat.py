"""PSMO getRAT: the rules directly under A6."""

from __future__ import annotations

from keim.der import read_tlv, tlv
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import GetRatPsmo


def get_rat(run: PackageRun, command: GetRatPsmo) -> Outcome:
    answer = run.context.identity.rat
    table = read_tlv(answer, read_tlv(answer).content)
    return Outcome(tlv(0xA6, answer[table.content : table.end]), run.state)
