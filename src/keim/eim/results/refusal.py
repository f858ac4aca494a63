"""EimPackageResultResponseError: the IPA could not handle the package; it was not executed (procedures §4.5).

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from hashlib import sha256

from keim.eim.change import Change
from keim.eim.conclusion import conclude
from keim.eim.events import ResultReceived
from keim.eim.results.verification import UNSIGNED
from keim.eim.rows import State
from keim.eim.words import name_of
from keim.messages.esipa import EimPackageResultResponseError


def take(change: Change, error: EimPackageResultResponseError) -> None:
    offer = change.device.offer
    if offer is None or error.eim_transaction_id not in (None, offer.transaction_id):
        return
    outcome = (f"refused by the IPA: {name_of(error.eim_package_result_error_code)}",)
    row = conclude(change, offer, State.FAILED, outcome)
    pause = change.device.pause if row.state is State.QUEUED else None
    change.events.append(
        ResultReceived(
            at=change.now,
            eid=change.eid,
            order=offer.order,
            state=row.state.value,
            outcome=outcome,
            transaction_id=offer.transaction_id,
            digest=sha256(error.encode()).digest(),
            verification=UNSIGNED,
            attempt=row.attempt,
            again_at=None if pause is None else pause.until,
        )
    )
