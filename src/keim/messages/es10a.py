"""ES10a: addresses configured in the eUICC.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Code, Sequence, Tag


class EuiccConfiguredAddressesRequest(Sequence, tag=0xBF3C):
    """No fields."""


class EuiccConfiguredAddressesResponse(Sequence, tag=0xBF3C):
    """ES10a."""

    default_dp_address: Annotated[str | None, Tag(0x80)] = None  # default SM-DP+
    root_ds_address: Annotated[str, Tag(0x81)]  # root SM-DS


class Sgp22SetDefaultDpAddressRequest(Sequence, tag=0xBF3F):
    default_dp_address: Annotated[str, Tag(0x80)]


class Sgp22SetDefaultDpAddressResult(Code):
    OK = 0
    UNDEFINED_ERROR = 127


class Sgp22SetDefaultDpAddressResponse(Sequence, tag=0xBF3F):
    set_default_dp_address_result: Annotated[Sgp22SetDefaultDpAddressResult, Tag(0x80)]
