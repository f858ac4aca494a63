"""What bodies take: each member in its own type of JSON, times as RFC 3339 only."""

from __future__ import annotations

import pytest
from pydantic import Field
from tests.api.desk import Desk, refusal

from keim.api.models import Asked, Moment


class Inner(Asked):
    is_so: bool = False
    times: list[Moment] = Field(default_factory=list)


class Outer(Asked):
    count: int = 0
    share: float | None = None
    inner: Inner | None = None
    many: dict[str, int] = Field(default_factory=dict)


@pytest.mark.parametrize(
    "body",
    [
        {"count": "1"},
        {"count": True},
        {"count": 1.5},
        {"share": "0.5"},
        {"share": False},
        {"inner": {"is_so": "yes"}},
        {"inner": {"is_so": 1}},
        {"inner": {"is_so": "true"}},
        {"many": {"a": "1"}},
        {"inner": {"times": [0]}},
        {"inner": {"times": ["0"]}},
        {"inner": {"times": ["1700000000000"]}},
        {"inner": {"times": ["2026-11-29"]}},
        {"inner": {"times": ["2026-11-29T12:00:00"]}},
        {"inner": {"times": ["2026-13-29T12:00:00Z"]}},
        {"inner": {"times": ["0001-01-01T00:00:00+23:00"]}},
        {"inner": {"times": ["9999-12-31T23:59:59-23:00"]}},
        {"inner": {"other": 1}},
        {"other": 1},
    ],
    ids=str,
)
def test_a_member_of_another_type_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Outer.model_validate(body)


def test_members_of_their_own_type_are_taken() -> None:
    body = {"count": 3, "share": 0.5, "inner": {"is_so": True, "times": ["2026-11-29T13:00:00+01:00"]}}
    found = Outer.model_validate(body)
    assert found.inner is not None
    assert found.inner.times[0].isoformat() == "2026-11-29T12:00:00+00:00"
    assert Outer.model_validate({"share": 1}).share == 1.0


@pytest.mark.parametrize("moment", ["0", "49196", "2026-11-29", "tomorrow"])
def test_a_time_in_the_query_is_rfc_3339(desk: Desk, moment: str) -> None:
    answer = desk.ask("GET", f"/devices?not_seen_since={moment}")
    assert refusal(answer, 422) == "api.invalid_request"
