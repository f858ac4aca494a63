"""ESipa in the JSON function binding (SGP.32 §6.4; bindings §5): members to DER and back, both ends.

What the roles see is always DER. Receivers take octets with and without their TLV header where peers differ.
Pure; imports this package.
"""

from keim.wire.esipa_json_answer import read_answer, write_answer
from keim.wire.esipa_json_request import function_of, read_request, write_request
from keim.wire.esipa_json_transfer import (
    read_transfer,
    read_transfer_answer,
    write_transfer,
    write_transfer_answer,
)

__all__ = [
    "function_of",
    "read_answer",
    "read_request",
    "read_transfer",
    "read_transfer_answer",
    "write_answer",
    "write_request",
    "write_transfer",
    "write_transfer_answer",
]
