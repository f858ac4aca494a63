"""The ISD-R's answer to SELECT (euicc.md section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.der import tlv
from keim.euicc.channels import ISD_R
from keim.euicc.es10.info import SVN
from keim.messages.info import (
    EuiccConfiguration,
    ISDRProprietaryApplicationTemplate,
    ISDRProprietaryApplicationTemplateIoT,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

LIFE_CYCLE_PERSONALISED = b"\x0f"
LONGEST_COMMAND = b"\xff"


def select_response(context: CardContext) -> bytes:
    templates = ISDRProprietaryApplicationTemplate(svn=SVN).encode()
    if not context.options.is_consumer:
        configuration = EuiccConfiguration(0)
        if context.options.has_ipae:
            configuration |= EuiccConfiguration.IPAE_SUPPORTED
        if context.state.enabled_profile is not None:
            configuration |= EuiccConfiguration.ENABLED_PROFILE
        templates += ISDRProprietaryApplicationTemplateIoT(euicc_configuration=configuration).encode()
    management = tlv(0xA5, tlv(0x9F6E, LIFE_CYCLE_PERSONALISED), tlv(0x9F65, LONGEST_COMMAND))
    return tlv(0x6F, tlv(0x84, ISD_R), management, templates)
