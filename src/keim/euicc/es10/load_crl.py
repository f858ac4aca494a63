"""LoadCRL (BF35), where the card offers it: lists are kept per CI and used on servers' certificates.

`IsdrState.crls` names a base list by its CI's key identifier and a partial one by that and its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr import memory
from keim.euicc.isdr.trust import trust_of
from keim.euicc.status import REFERENCE_NOT_FOUND, StatusError
from keim.pki import Crl
from keim.pki.load_crl import HeldCrl, LoadCrlError, LoadedCrl, load_crl, response_of

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

PART_NUMBER_OCTETS = 1


def load_crl_function(context: CardContext, request: bytes) -> bytes:
    if not context.options.has_load_crl:
        raise StatusError(REFERENCE_NOT_FOUND)
    isdr = context.state.isdr
    outcome = load_crl(request, trust_of(context), _held(isdr.crls))
    if isinstance(outcome, LoadedCrl):
        crls = _with(isdr.crls, outcome)
        if sum(map(len, crls.values())) > memory.free(context):
            return response_of(LoadCrlError.NOT_ENOUGH_MEMORY_SPACE)
        context.commit("load CRL", replace(context.state, isdr=replace(isdr, crls=crls)))
    return response_of(outcome)


def _held(crls: Mapping[bytes, bytes]) -> Mapping[bytes, HeldCrl]:
    found: dict[bytes, HeldCrl] = {}
    for octets in crls.values():
        crl = Crl(octets)
        assert crl.aki is not None  # none is accepted without
        known = found.get(crl.aki, HeldCrl())
        if crl.part is None:
            held = replace(known, number=crl.number or 0, total_parts=crl.total_parts or 0)
        else:
            held = replace(known, parts=known.parts | {crl.part})
        found[crl.aki] = held
    return found


def _with(crls: Mapping[bytes, bytes], loaded: LoadedCrl) -> Mapping[bytes, bytes]:
    """The lists with this one, and without parts that do not belong to the base of now."""
    ci, part = loaded.ci_pk_id, loaded.crl.part
    kept = {name: octets for name, octets in crls.items() if _stays(name, loaded)}
    return {**kept, _name(ci, part): loaded.crl.der}


def _stays(name: bytes, loaded: LoadedCrl) -> bool:
    ci = loaded.ci_pk_id
    is_its_part = name.startswith(ci) and len(name) > len(ci)
    return not is_its_part or name[-1] in loaded.held.parts


def _name(ci: bytes, part: int | None) -> bytes:
    return ci if part is None else ci + part.to_bytes(PART_NUMBER_OCTETS, "big")
