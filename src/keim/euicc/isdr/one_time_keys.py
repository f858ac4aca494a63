"""The card's one-time key pair, its re-use for a retry, and its end (crypto.md section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.crypto.agreement import OneTimeKey
from keim.crypto.suites import suite_named
from keim.errors import Refused
from keim.euicc.isdr_state import OneTimeKeyRecord

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState

SCALAR_OCTETS = 32


def key_for(context: CardContext, suite: str, smdp_oid: str, wanted: bytes | None) -> bytes:
    """The public point: of the pair that the same SM-DP+ names again, else of a new one, which is kept."""
    record = context.state.isdr.one_time_key
    if (
        record is not None
        and (record.suite, record.smdp_oid) == (suite, smdp_oid)
        and record.public_point == wanted
    ):
        return record.public_point
    key = _new_key(context, suite)
    record = OneTimeKeyRecord(
        suite=suite, scalar=key.scalar.reveal(), public_point=key.public_point, smdp_oid=smdp_oid
    )
    isdr = replace(context.state.isdr, one_time_key=record)
    context.commit("one-time key", replace(context.state, isdr=isdr))
    return record.public_point


def _new_key(context: CardContext, suite: str) -> OneTimeKey:
    """From the card's entropy, so that a simulation with a seed repeats itself."""
    while True:
        try:
            return suite_named(suite).one_time_key_of_scalar(context.random(SCALAR_OCTETS))
        except Refused:
            continue  # a value out of range is drawn anew


def forgotten(state: CardState) -> CardState:
    """The pair is erased once an installation result exists."""
    if state.isdr.one_time_key is None:
        return state
    return replace(state, isdr=replace(state.isdr, one_time_key=None))
