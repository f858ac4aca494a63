"""Decisions that ask: what the answering meets is the asker's, alone and in a lot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from keim.deciding import Deciding, alone, ask, together


def halves(number: int) -> Deciding[int]:
    """A decision that copes with a trouble of its own, and not with another."""
    try:
        half = yield from ask(partial(divmod, number, number - 1))
    except ZeroDivisionError:
        return -1
    return half[0]


def run_alone(lot: list[Deciding[int]]) -> list[int | Exception]:
    return [alone(deciding) for deciding in lot]


@pytest.mark.parametrize("run", [run_alone, together])
def test_a_decision_may_cope_with_what_its_wish_met(
    run: Callable[[list[Deciding[int]]], list[int | Exception]],
) -> None:
    assert run([halves(3), halves(1), halves(2)]) == [1, -1, 2]


def test_wishes_of_a_lot_are_answered_in_a_row() -> None:
    done: list[str] = []

    def steps(name: str) -> Deciding[None]:
        for step in (1, 2):
            yield from ask(partial(done.append, f"wish {step} of {name}"))
            done.append(f"step {step} of {name}")

    together([steps("a"), steps("b")])
    assert done == [
        "wish 1 of a", "wish 1 of b", "step 1 of a", "step 1 of b",
        "wish 2 of a", "wish 2 of b", "step 2 of a", "step 2 of b",
    ]  # fmt: skip
