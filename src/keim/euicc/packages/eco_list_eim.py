"""eCO listEim: identifiers, with the type for OIDs and FQDNs only."""

from __future__ import annotations

from keim.der import tlv
from keim.euicc.isdr.eims import configuration_of
from keim.euicc.isdr_state import Eim
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import EimIdInfo, EimIdType, ListEimEco, ListEimResult

RESULT = 0xAB


def list_eim(run: PackageRun, command: ListEimEco) -> Outcome:
    found = tuple(_info(eim) for eim in run.state.isdr.eims)
    return Outcome(tlv(RESULT, ListEimResult(eim_id_list=found).encode()), run.state)


def _info(eim: Eim) -> EimIdInfo:
    kind = configuration_of(eim).eim_id_type
    is_shown = kind in (EimIdType.EIM_ID_TYPE_OID, EimIdType.EIM_ID_TYPE_FQDN)
    return EimIdInfo(eim_id=eim.eim_id, eim_id_type=kind if is_shown else None)
