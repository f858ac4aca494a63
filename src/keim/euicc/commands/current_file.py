"""Which EF a READ, UPDATE, SEARCH or INCREASE means: the current one, or the one of a short file
identifier.
"""

from __future__ import annotations

import msgspec

from keim.euicc.context import CardContext
from keim.euicc.filesystem import Files
from keim.euicc.status import FILE_NOT_FOUND, INCOMPATIBLE_FILE, NO_EF_SELECTED, StatusError
from keim.saip.filesystem import Ef, Key
from keim.saip.templates import Structure


def chosen_file(
    context: CardContext, files: Files, sfi: int | None, structures: frozenset[Structure]
) -> tuple[Key, Ef]:
    """An SFI makes its file current (TS 102 221 clause 8.4.3); a file of another structure is refused."""
    if sfi is not None:
        if not 1 <= sfi <= 30:
            raise StatusError(FILE_NOT_FOUND)
        key = files.by_sfi(sfi, context.channel.directory)
        if key != context.channel.file:
            context.channel = msgspec.structs.replace(context.channel, file=key, record=0)
    elif context.channel.file is None:
        raise StatusError(NO_EF_SELECTED)
    else:
        key = context.channel.file
    held = files.ef(key)
    if held.structure not in structures:
        raise StatusError(INCOMPATIBLE_FILE)
    return key, held
