"""LoadCRL (BF35), where the card offers it: lists are kept per CI and used on servers' certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr.trust import trust_of
from keim.euicc.status import REFERENCE_NOT_FOUND, StatusError
from keim.pki import Crl
from keim.pki.load_crl import LoadCrlError, LoadedCrl, load_crl, response_of

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def load_crl_function(context: CardContext, request: bytes) -> bytes:
    if not context.options.has_load_crl:
        raise StatusError(REFERENCE_NOT_FOUND)
    isdr = context.state.isdr
    stored = {ci: Crl(octets).number or 0 for ci, octets in isdr.crls.items()}
    outcome = load_crl(request, trust_of(context), stored)
    if isinstance(outcome, LoadedCrl):
        if context.is_out_of_memory:
            return response_of(LoadCrlError.NOT_ENOUGH_MEMORY_SPACE)
        crls = {**isdr.crls, outcome.ci_pk_id: outcome.crl.der}
        context.commit("load CRL", replace(context.state, isdr=replace(isdr, crls=crls)))
    return response_of(outcome)
