"""What metadata and profile policy rules say before a download is accepted (procedures §11.6, SGP.22 §3.1.3).

Asked by the IPA, and by the eIM where it verifies them in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keim.errors import Malformed
from keim.messages.common import OperatorId
from keim.messages.es8p import BoundProfilePackage
from keim.messages.profile import PprIds, ProfilePolicyAuthorisationRule, StoreMetadataRequest

_MAC_LENGTH: Final = 8
_ANY_OPERATOR: Final = bytes.fromhex("EEEEEE")
_RULES: Final = (PprIds.PPR1, PprIds.PPR2)


def rules_of(metadata: StoreMetadataRequest) -> list[PprIds]:
    return [rule for rule in _RULES if rule in (metadata.profile_policy_rules or PprIds(0))]


def is_allowed(
    rule: PprIds, owner: OperatorId | None, table: Sequence[ProfilePolicyAuthorisationRule]
) -> bool:
    """A rule is allowed for an owner that an entry of the table names, or for all (EEEEEE)."""
    return any(
        rule in entry.ppr_ids
        and any(
            operator.mcc_mnc == _ANY_OPERATOR or (owner is not None and _covers(operator, owner))
            for operator in entry.allowed_operators
        )
        for entry in table
    )


def _covers(operator: OperatorId, owner: OperatorId) -> bool:
    """Absent group identifiers of the table stand for all."""
    return (
        operator.mcc_mnc == owner.mcc_mnc
        and (operator.gid1 is None or operator.gid1 == owner.gid1)
        and (operator.gid2 is None or operator.gid2 == owner.gid2)
    )


def is_other_metadata(package: bytes, accepted: StoreMetadataRequest) -> bool:
    """Whether the package carries other metadata than was accepted: its 88 segments are readable, only MACed.

    What cannot be read is left to the card, which checks it with the keys.
    """
    try:
        segments = BoundProfilePackage.decode(package).sequence_of88
        carried = StoreMetadataRequest.decode(b"".join(segment[:-_MAC_LENGTH] for segment in segments))
    except Malformed:
        return False
    return carried != accepted
