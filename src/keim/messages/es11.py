"""ES11: the answers of an SM-DS.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Choice, Code, Sequence, Tag
from keim.messages.common import TransactionId


class AuthenticateClientErrorEs11(Code):
    EUM_CERTIFICATE_INVALID = 1
    EUM_CERTIFICATE_EXPIRED = 2
    EUICC_CERTIFICATE_INVALID = 3
    EUICC_CERTIFICATE_EXPIRED = 4
    EUICC_SIGNATURE_INVALID = 5
    EVENT_ID_UNKNOWN = 6
    INVALID_TRANSACTION_ID = 7
    UNDEFINED_ERROR = 127


class AuthenticateClientResponseEs11(Choice, tag=0xBF40):
    authenticate_client_ok: Annotated[AuthenticateClientOkEs11 | None, Tag(0xA0)] = None
    authenticate_client_error: Annotated[AuthenticateClientErrorEs11 | None, Tag(0x81)] = None


class AuthenticateClientOkEs11(Sequence):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    event_entries: Annotated[tuple[EventEntries, ...], Tag(0xA1)]  # elements are 30


class EventEntries(Sequence):
    event_id: Annotated[str, Tag(0x80)]  # becomes the matchingId at rspServerAddress
    rsp_server_address: Annotated[str, Tag(0x81)]  # SM-DP+ or cascaded SM-DS
