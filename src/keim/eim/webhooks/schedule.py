"""When a failed delivery is tried again, and when a webhook is paused. Pure; imports its neighbours only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from keim.eim.webhooks.rows import Progress, WebhookState

PAUSES_S: Final = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 16 * 3600)
"""Between the attempts at one event: two days all in all."""
LONGEST_WISH: Final = timedelta(hours=24)
"""A receiver may ask for a longer pause (Retry-After), but not for ever."""
GONE: Final = 410


def delivered(progress: Progress, leaf: int) -> Progress:
    """Also for a leaf that the webhook does not want."""
    return msgspec.structs.replace(
        progress,
        after=leaf,
        attempts=0,
        next_at=None,
        failing_since=None,
        version=progress.version + 1,
    )


def failed(
    progress: Progress,
    now: datetime,
    *,
    status: int | None = None,
    retry_after: timedelta | None = None,
    jitter: float = 0.0,
) -> Progress:
    """`jitter`, from 0 to 1, spreads receivers that failed together over a tenth of the pause."""
    attempts = progress.attempts + 1
    since = progress.failing_since or now
    common: dict[str, object] = {
        "attempts": attempts,
        "failing_since": since,
        "version": progress.version + 1,
    }
    if status == GONE:
        return _paused(progress, "the receiver answered 410: it is gone", common)
    if attempts > len(PAUSES_S):
        return _paused(progress, f"no delivery since {since:%Y-%m-%dT%H:%M:%SZ}", common)
    pause = timedelta(seconds=PAUSES_S[attempts - 1] * (1 + 0.1 * jitter))
    if retry_after is not None:
        pause = max(pause, min(retry_after, LONGEST_WISH))
    return msgspec.structs.replace(progress, next_at=now + pause, **common)


def _paused(progress: Progress, reason: str, common: dict[str, object]) -> Progress:
    return msgspec.structs.replace(progress, state=WebhookState.PAUSED, reason=reason, next_at=None, **common)


def paused(progress: Progress, reason: str) -> Progress:
    return msgspec.structs.replace(
        progress, state=WebhookState.PAUSED, reason=reason, next_at=None, version=progress.version + 1
    )


def resumed(progress: Progress, *, after: int | None = None) -> Progress:
    """Where it stopped, or after another leaf; tried at once."""
    return msgspec.structs.replace(
        progress,
        after=progress.after if after is None else after,
        state=WebhookState.ACTIVE,
        reason="",
        attempts=0,
        next_at=None,
        failing_since=None,
        version=progress.version + 1,
    )


def is_due(progress: Progress, now: datetime) -> bool:
    return progress.state is WebhookState.ACTIVE and (progress.next_at is None or progress.next_at <= now)
