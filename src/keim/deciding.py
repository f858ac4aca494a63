"""Decisions that ask for what is costly, and those who run them: one alone, or all of a lot together.

    signature = yield from ask(partial(signer.sign, message))

So what a lot of decisions ask for is done in a row, without what surrounds it: an elliptic curve's tables and
a decision's push each other out of the processor's caches. Pure; imports nothing of keim.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias, TypeVar, cast

A = TypeVar("A")
Wish: TypeAlias = Callable[[], A]
"""What is wanted before a decision goes on: the result of a function."""
Deciding: TypeAlias = Generator[Wish[object], object, A]


def ask(wish: Wish[A]) -> Deciding[A]:
    """What the answering raises, this raises."""
    answer = yield wish
    return cast(A, answer)  # whoever runs it answers each wish with its own result


def alone(deciding: Deciding[A]) -> A:
    """One decision, at once."""
    answer: object = None
    while True:
        try:
            wish = _go_on(deciding, answer)
        except StopIteration as ended:
            return cast(A, ended.value)
        answer = _answer_to(wish)


def together(lot: Sequence[Deciding[A]]) -> list[A | Exception]:
    """All of them, wish by wish; the trouble of one is its own."""
    outcomes: dict[int, A | Exception] = {}
    answered: list[tuple[int, object]] = [(number, None) for number in range(len(lot))]
    while answered:
        wanted: list[tuple[int, Wish[object]]] = []
        for number, answer in answered:
            try:
                wanted.append((number, _go_on(lot[number], answer)))
            except StopIteration as ended:
                outcomes[number] = ended.value
            except Exception as error:  # whoever waits for this one is told
                outcomes[number] = error
        answered = [(number, _answer_to(wish)) for number, wish in wanted]
    return [outcomes[number] for number in range(len(lot))]


def _go_on(deciding: Deciding[A], answer: object) -> Wish[object]:
    return deciding.throw(answer) if isinstance(answer, Exception) else deciding.send(answer)


def _answer_to(wish: Wish[object]) -> object:
    try:
        return wish()
    except Exception as error:  # a key that cannot be reached, say: it is for the decision to know
        return error
