"""Runs a procedure (keim.ipa and whoever else yields effects): performs each effect, sends back its answer.

A failure that has a name (`KeimError`) is thrown into the procedure, which decides; anything else ends the
run. The same fifteen lines twice: for threads and for asyncio. `keim.ipa.virtual` has the third.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from keim.errors import KeimError
from keim.ipa.effects import Effect, Procedure

T = TypeVar("T")


def drive(procedure: Procedure[T], perform: Callable[[Effect[object]], object]) -> T:
    """Runs the procedure to its end and returns its value."""
    try:
        effect = next(procedure)
        while True:
            try:
                answer = perform(effect)
            except KeimError as error:
                effect = procedure.throw(error)
            else:
                effect = procedure.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        procedure.close()


async def drive_async(procedure: Procedure[T], perform: Callable[[Effect[object]], Awaitable[object]]) -> T:
    """The same under asyncio; a cancelled run closes the procedure."""
    try:
        effect = next(procedure)
        while True:
            try:
                answer = await perform(effect)
            except KeimError as error:
                effect = procedure.throw(error)
            else:
                effect = procedure.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        procedure.close()
