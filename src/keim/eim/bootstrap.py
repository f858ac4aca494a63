"""What a factory stores in a batch of cards: AddInitialEim, as one object and as APDUs (procedures §3.3).

The same for every card of a batch: each chooses an association token of its own and answers with it. Pure;
imports keim.messages only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.errors import Refused
from keim.messages.es10b import AddInitialEimRequest
from keim.messages.package import EimConfigurationData

SELECT_ISDR: Final = bytes.fromhex("00A4040010A0000005591010FFFFFFFF8900000100")
BLOCK: Final = 255
_MOST_BLOCKS: Final = 256


class Bootstrap(msgspec.Struct, frozen=True):
    request: bytes
    """AddInitialEimRequest, BF57."""
    apdus: tuple[bytes, ...]
    """SELECT of the ISD-R and the chain of STORE DATA."""


def bootstrap(entries: tuple[EimConfigurationData, ...], *, block: int = BLOCK) -> Bootstrap:
    if not 1 <= block <= BLOCK:
        raise Refused(f"a block of STORE DATA has 1 to {BLOCK} octets", code="bootstrap.bad_terms")
    request = AddInitialEimRequest(eim_configuration_data_list=entries).encode()
    blocks = [request[start : start + block] for start in range(0, len(request), block)]
    if len(blocks) > _MOST_BLOCKS:
        raise Refused(f"{len(request)} octets need more than 256 blocks", code="bootstrap.bad_terms")
    chain = [
        bytes((0x80, 0xE2, 0x91 if number == len(blocks) - 1 else 0x11, number, len(piece))) + piece
        for number, piece in enumerate(blocks)
    ]
    return Bootstrap(request, (SELECT_ISDR, *chain))


def script_of(made: Bootstrap, *, title: str) -> str:
    """As `keim euicc script` runs it; other tools take the part before `=>`."""
    lines = [
        f"# {title}",
        "# The last answer holds the association token that this card has chosen (84): keep it with its EID.",
        "reset",
        f"{made.apdus[0].hex().upper()} => *9000",
    ]
    lines += [f"{apdu.hex().upper()} => 9000" for apdu in made.apdus[1:-1]]
    lines.append(f"{made.apdus[-1].hex().upper()} => BF57??A0*9000")
    return "\n".join(lines) + "\n"
