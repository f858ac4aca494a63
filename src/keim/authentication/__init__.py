"""Common mutual authentication (SGP.22 §3.1.2) as a server sees it: shared by SM-DP+ and SM-DS.

Roles never import one another, so what two of them do alike stands here. Pure: time, transaction id and
challenge are arguments. Imports floor 0 only.
"""

from keim.authentication.euicc import AuthenticatedEuicc, authenticate_euicc, check_euicc_chain
from keim.authentication.server import (
    RefusalCodes,
    Server,
    ServerIdentity,
    Terms,
    server_identity,
    settle_terms,
    sign_first_word,
)

__all__ = [
    "AuthenticatedEuicc",
    "RefusalCodes",
    "Server",
    "ServerIdentity",
    "Terms",
    "authenticate_euicc",
    "check_euicc_chain",
    "server_identity",
    "settle_terms",
    "sign_first_word",
]
