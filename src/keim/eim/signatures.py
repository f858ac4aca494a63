"""Signatures, asked of whoever runs a decision: made with our key, or checked under an eUICC's.

    signature = yield from ask(Sign(signer, message))

So the signatures of a lot of decisions are made in a row, without what surrounds them: an elliptic curve's
tables and a decision's push each other out of the processor's caches. Pure; imports floor 0 only.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Generic, TypeAlias, TypeVar, cast

from keim.crypto.suites import suite_of_curve
from keim.pki import Curve
from keim.seams import Signer

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)


class Wish(Generic[A_co]):
    """What is wanted before a decision goes on; its answer is an `A_co`."""

    __slots__ = ()

    def answer(self) -> A_co:
        raise NotImplementedError


class Sign(Wish[bytes]):
    """r || s over the message."""

    __slots__ = ("_message", "_signer")

    def __init__(self, signer: Signer, message: bytes) -> None:
        self._signer = signer
        self._message = message

    def answer(self) -> bytes:
        return self._signer.sign(self._message)


class Check(Wish[bool]):
    """Whether the signature is that of the message under the key of that point."""

    __slots__ = ("_accepts_der", "_curve", "_message", "_point", "_signature")

    def __init__(
        self, curve: str, point: bytes, signature: bytes, message: bytes, *, accepts_der: bool = False
    ) -> None:
        self._curve = curve
        self._point = point
        self._signature = signature
        self._message = message
        self._accepts_der = accepts_der

    def answer(self) -> bool:
        key = suite_of_curve(Curve(self._curve).domain).verifying_key(self._point)
        return key.accepts(self._signature, self._message, accept_der=self._accepts_der)


Deciding: TypeAlias = Generator[Wish[object], object, A]


def ask(wish: Wish[A]) -> Deciding[A]:
    answer = yield wish
    return cast(A, answer)  # whoever runs it answers each wish with what its class says


def alone(deciding: Deciding[A]) -> A:
    """One decision, at once."""
    answer: object = None
    while True:
        try:
            wish = deciding.send(answer)
        except StopIteration as ended:
            return cast(A, ended.value)
        answer = wish.answer()


def together(lot: Sequence[Deciding[A]]) -> list[A | Exception]:
    """All of them, wish by wish; the trouble of one is its own."""
    outcomes: dict[int, A | Exception] = {}
    answered: list[tuple[int, object]] = [(number, None) for number in range(len(lot))]
    while answered:
        wanted: list[tuple[int, Wish[object]]] = []
        for number, answer in answered:
            try:
                wanted.append((number, lot[number].send(answer)))
            except StopIteration as ended:
                outcomes[number] = ended.value
            except Exception as error:  # whoever waits for this one is told
                outcomes[number] = error
        answered = []
        for number, wish in wanted:
            try:
                answered.append((number, wish.answer()))
            except Exception as error:  # a key that cannot be reached, say
                outcomes[number] = error
    return [outcomes[number] for number in range(len(lot))]
