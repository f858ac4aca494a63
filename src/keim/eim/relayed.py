"""What a relayed download and the cached knowledge contribute to compact forms (procedures §11.8).

Pure; imports floor 0 and keim.eim.rows only.
"""

from __future__ import annotations

from keim.crypto.compact import RelayedSession
from keim.eim.rows import Knowledge, Relay


def session_of(relay: Relay | None, knowledge: Knowledge) -> RelayedSession:
    info2, euicc, eum = knowledge.info2, knowledge.euicc_certificate, knowledge.eum_certificate
    if relay is None:
        return RelayedSession(euicc_info2=info2, euicc_certificate=euicc, eum_certificate=eum)
    reason = relay.cancel_reason
    return RelayedSession(
        transaction_id=relay.transaction_id,
        server_address=relay.server_address.encode(),
        server_challenge=relay.server_challenge,
        smdp_oid=relay.smdp_oid or None,
        iccid=relay.iccid,
        euicc_info2=info2,
        ctx_params1=relay.ctx_params1,
        bpp_euicc_otpk=relay.bpp_euicc_otpk,
        hash_cc=relay.hash_cc,
        cancel_reason=None if reason is None else bytes((reason,)),
        euicc_certificate=relay.euicc_certificate or euicc,
        eum_certificate=relay.eum_certificate or eum,
    )
