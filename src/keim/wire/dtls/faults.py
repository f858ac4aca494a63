"""Why a handshake fails, with the alert that tells the peer (RFC 5246 §7.2). Pure."""

from __future__ import annotations

from typing import Final

from keim.errors import Malformed, PeerError

CLOSE_NOTIFY: Final = 0
UNEXPECTED_MESSAGE: Final = 10
HANDSHAKE_FAILURE: Final = 40
BAD_CERTIFICATE: Final = 42
UNSUPPORTED_CERTIFICATE: Final = 43
CERTIFICATE_UNKNOWN: Final = 46
ILLEGAL_PARAMETER: Final = 47
DECODE_ERROR: Final = 50
DECRYPT_ERROR: Final = 51
PROTOCOL_VERSION: Final = 70
INTERNAL_ERROR: Final = 80
NO_RENEGOTIATION: Final = 100
UNSUPPORTED_EXTENSION: Final = 110
UNKNOWN_PSK_IDENTITY: Final = 115

ALERT_NAMES: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    90: "user_canceled",
    100: "no_renegotiation",
    110: "unsupported_extension",
    112: "unrecognized_name",
    115: "unknown_psk_identity",
}


class HandshakeFailed(PeerError):
    code = "dtls.handshake_failed"

    def __init__(self, message: str, alert: int, *, code: str | None = None) -> None:
        super().__init__(message, code=code, step="DTLS handshake")
        self.alert = alert


def unexpected(what: str) -> HandshakeFailed:
    return HandshakeFailed(what, UNEXPECTED_MESSAGE, code="dtls.unexpected_message")


def illegal(what: str) -> HandshakeFailed:
    return HandshakeFailed(what, ILLEGAL_PARAMETER)


def malformed(what: str, offset: int = 0) -> Malformed:
    return Malformed(what, offset=offset, code="dtls.malformed")
