"""Whether an eUICC may have a profile (procedures §11.4): policy rules, package version, memory.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from keim.der import walk
from keim.errors import Malformed
from keim.messages.execution_status import INSUFFICIENT_MEMORY, NO_ELIGIBLE_PROFILE, Failure
from keim.messages.info import EUICCInfo2
from keim.smdp.rows import Contents

FREE_NON_VOLATILE_MEMORY = 0x82


def free_memory(ext_card_resource: bytes) -> int | None:
    """Of the TLVs in extCardResource; None where the eUICC does not tell."""
    try:
        for element in walk(ext_card_resource):
            if element.tag == FREE_NON_VOLATILE_MEMORY:
                return int.from_bytes(ext_card_resource[element.content : element.end], "big")
    except Malformed:
        pass  # a coding of the manufacturer's own: no reason to refuse a profile
    return None


def ineligibility(contents: Contents, info: EUICCInfo2) -> Failure | None:
    forbidden = int(info.forbidden_profile_policy_rules or 0)
    if contents.policy_rules & forbidden:
        return Failure(NO_ELIGIBLE_PROFILE, "the eUICC forbids a policy rule of the profile")
    supported = (info.profile_version[0], info.profile_version[1])
    if contents.package_version > supported:
        needed = ".".join(map(str, contents.package_version))
        known = ".".join(map(str, supported))
        return Failure(
            NO_ELIGIBLE_PROFILE, f"the profile package has version {needed}, the eUICC reads {known}"
        )
    free = free_memory(info.ext_card_resource)
    if free is not None and free < contents.octets:
        return Failure(
            INSUFFICIENT_MEMORY, f"the profile needs {contents.octets} octets, {free} are free on the eUICC"
        )
    return None
