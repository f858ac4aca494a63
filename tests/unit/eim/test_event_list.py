"""The page about events says what the code does."""

from __future__ import annotations

import pytest
from tests.unit.eim.event_list import PAGE, kinds, members_of, page_with_list

from keim.eim import events, picture


def test_the_list_of_events_is_that_of_the_code() -> None:
    assert page_with_list() == PAGE.read_text("utf-8"), "run `python -m tests.unit.eim.event_list`"


@pytest.mark.parametrize(("union", "module"), [(events.Event, events), (picture.Effect, picture)])
def test_every_event_and_each_of_its_members_is_described(union: object, module: object) -> None:
    described = members_of(module)  # type: ignore[arg-type]  # both are modules
    silent = [
        f"{name}.{member.name}" if member is not None else name
        for name in kinds(union).values()
        for member in (None, *described[name][1])
        if not (described[name][0] if member is None else member.sentence)
    ]
    assert silent == []
