"""GetCerts (SGP.32 clause 5.9.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.der import Certificate
from keim.euicc.isdr.fields import read
from keim.euicc.isdr.signing import find_credential
from keim.messages.es10b import Certs, GetCertsError, GetCertsRequest, GetCertsResponse

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def get_certs(context: CardContext, request: bytes) -> bytes:
    """Of the CI that is asked for, by its identifier or a beginning of it; without one, of the default."""
    wanted = read(GetCertsRequest, request).euicc_ci_pk_id
    credential = find_credential(context.identity, wanted or b"") if wanted != b"" else None
    if credential is None:
        return GetCertsResponse(get_certs_error=GetCertsError.INVALID_CI_PK_ID).encode()
    return GetCertsResponse(
        certs=Certs(
            eum_certificate=Certificate(credential.eum_certificate),
            euicc_certificate=Certificate(credential.certificate),
        )
    ).encode()
