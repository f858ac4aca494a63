"""What the functions of a download session ask of a session before they do their own work.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from keim.crypto.ecdsa import VerifyingKey
from keim.crypto.suites import suite_named
from keim.messages.execution_status import TRANSACTION_UNKNOWN, Failure
from keim.smdp.rows import Session, SessionStage
from keim.smdp.settings import Smdp

UNKNOWN = Failure(TRANSACTION_UNKNOWN, "there is no such session, or it has ended")


def opened_session(smdp: Smdp, transaction_id: bytes) -> Session | None:
    """One that was opened and went no further, so that it is not stored."""
    return smdp.session_numbers.read(transaction_id, lifetime=smdp.rules.session_lifetime)


def is_alive(session: Session | None, now: datetime) -> bool:
    return session is not None and session.stage is not SessionStage.ENDED and now < session.expires_at


def next_stage(session: Session, stage: SessionStage, **changes: Any) -> Session:
    return msgspec.structs.replace(session, version=session.version + 1, stage=stage, **changes)


def ended(session: Session) -> Session:
    """Nothing is asked of it any more, but a late result is still verified with its key."""
    return next_stage(session, SessionStage.ENDED)


def euicc_key(session: Session) -> VerifyingKey:
    """Of the certificate that was accepted when the eUICC authenticated itself."""
    assert session.euicc_suite is not None  # both are set with every stage after INITIATED
    assert session.euicc_point is not None
    return suite_named(session.euicc_suite).verifying_key(session.euicc_point)
