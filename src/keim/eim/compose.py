"""Making works out of commands, with the rules that a package must keep (SGP.32 §2.11.1.1.3).

Pure; imports floor 0 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from keim.crypto.confirmation import confirmation_code_hash
from keim.der import TOLERANT, read_tlv, walk
from keim.eim.activation_code import ActivationCode
from keim.eim.work import DataWork, DownloadWork, PackageWork
from keim.errors import Malformed, Refused
from keim.messages.ipa_data import NotificationSearch
from keim.messages.package import Eco, EimConfigurationData, EuiccPackage, Psmo

STATE_CHANGES: Final = frozenset({"enable", "disable", "delete"})
DATA_TAGS: Final = frozenset({0xA0, 0x81, 0xA2, 0xBF20, 0xBF22, 0x83, 0x84, 0xA5, 0xA6, 0xA8, 0xA9})
EVERYTHING: Final = bytes.fromhex("bf20bf22818384a5a6a8a9a0a2")
"""The tag list of a first contact (procedures §14)."""


def package_of(
    commands: Sequence[Psmo | Eco], *, own_eim_id: str | None = None, may_delete_own: bool = False
) -> PackageWork:
    """Several commands in one package; PSMOs or eCOs, never both."""
    psmos = tuple(command for command in commands if isinstance(command, Psmo))
    ecos = tuple(command for command in commands if isinstance(command, Eco))
    if not commands or (psmos and ecos):
        raise _refused("a package holds one or more PSMOs or one or more eCOs, never both")
    if psmos:
        _check_order(psmos)
        return PackageWork(EuiccPackage(psmo_list=psmos).encode())
    for eco in ecos:
        _check_eco(eco, own_eim_id, may_delete_own=may_delete_own)
    return PackageWork(EuiccPackage(eco_list=ecos).encode())


def _check_order(psmos: Sequence[Psmo]) -> None:
    kinds = [psmo.kind for psmo in psmos]
    for kind in ("enable", "disable"):
        if kinds.count(kind) > 1:
            raise _refused(f"a package holds at most one {kind}")
    if "disable" in kinds and "enable" in kinds and kinds.index("disable") > kinds.index("enable"):
        raise _refused("a disable after an enable fails: enabling disables the other profile by itself")
    if "list_profile_info" in kinds:
        last = len(kinds) - 1 - kinds[::-1].index("list_profile_info")
        if STATE_CHANGES & set(kinds[:last]):
            raise _refused("listProfileInfo may not follow an enable, disable or delete")


def _check_eco(eco: Eco, own_eim_id: str | None, *, may_delete_own: bool) -> None:
    match eco:
        case Eco(add_eim=EimConfigurationData() as entry):
            if entry.counter_value is None or entry.eim_public_key_data is None:
                raise _refused("addEim needs counterValue and eimPublicKeyData")
            if entry.association_token not in (None, -1):
                raise _refused("the token of addEim is -1 (the eUICC makes one) or absent")
        case Eco(update_eim=EimConfigurationData() as entry):
            if entry.association_token is not None:
                raise _refused("updateEim takes no token")
        case Eco(delete_eim=delete) if delete is not None:
            if delete.eim_id == own_eim_id and not may_delete_own:
                raise _refused(
                    "deleting this eIM's own association needs to be said explicitly: hand over first"
                )


def data_request_of(
    tag_list: bytes,
    *,
    ci_pk_id: bytes | None = None,
    notifications: NotificationSearch | None = None,
    result_sequence_number: int | None = None,
    is_checked: bool = True,
) -> DataWork:
    """`is_checked` False sends any list, as a test of an IPA may want."""
    if is_checked:
        _check_tags(tag_list)
    return DataWork(
        tag_list=tag_list,
        ci_pk_id=ci_pk_id,
        notification_search=None if notifications is None else notifications.encode(),
        result_sequence_number=result_sequence_number,
    )


def tags_in(tag_list: bytes) -> list[int]:
    """Of one or two octets each; half a tag at the end is told as it is."""
    octets, tags = bytearray(), []
    for octet in tag_list:
        octets.append(octet)
        if len(octets) == 1 and octet & 0x1F == 0x1F:
            continue
        tags.append(int.from_bytes(octets, "big"))
        octets.clear()
    return [*tags, octets[0]] if octets else tags


def _check_tags(tag_list: bytes) -> None:
    tags = tags_in(tag_list)
    unknown = [f"{tag:X}" for tag in tags if tag not in DATA_TAGS]
    if unknown or not tags:
        raise _refused(f"no tags of IpaEuiccData: {' '.join(unknown) or tag_list.hex().upper()}")


def download_by_code(
    activation_code: str, *, confirmation_code: str | None = None, hides_data: bool = False
) -> DownloadWork:
    """The code is kept as it was ordered, without `LPA:` in front."""
    ActivationCode.parse(activation_code)
    return DownloadWork(
        activation_code=activation_code.removeprefix("LPA:"),
        code_hash=_hash(confirmation_code),
        hides_data=hides_data,
    )


def download_by_smds(address: str = "", *, confirmation_code: str | None = None) -> DownloadWork:
    """Empty: the root SM-DS of the eUICC."""
    return DownloadWork(smds_address=address, code_hash=_hash(confirmation_code))


def download_by_default(*, confirmation_code: str | None = None) -> DownloadWork:
    """From the eUICC's default SM-DP+."""
    return DownloadWork(code_hash=_hash(confirmation_code))


def _hash(confirmation_code: str | None) -> bytes | None:
    return None if confirmation_code is None else confirmation_code_hash(confirmation_code).reveal()


@lru_cache(maxsize=256)
def commands_of(package: bytes) -> tuple[Psmo, ...] | tuple[Eco, ...]:
    """The commands of an EuiccPackage (A0 or A1); of the last few held, since many devices get the same."""
    read = EuiccPackage.decode(package, TOLERANT)
    return read.psmo_list if read.psmo_list is not None else read.eco_list or ()


_BEHIND_EIM_ID: Final = ("eidValue", "counterValue", "eimTransactionId")


def commands_in(request: bytes) -> bytes:
    """The EuiccPackage in an EuiccPackageRequest of ours: what is signed behind the transaction id."""
    signed = read_tlv(request, read_tlv(request).content)
    place = read_tlv(request, signed.content).end  # eimId, the one that may be long
    for _ in _BEHIND_EIM_ID:
        place += 2 + request[place + 1]
    return request[place : signed.end]


def count_of(package: bytes) -> int:
    """How many commands an EuiccPackage holds, without reading them."""
    outer = next(iter(walk(package)))
    if outer.tag not in (0xA0, 0xA1):
        raise Malformed("not an EuiccPackage", offset=0)
    return sum(1 for _ in walk(package, outer.content, outer.end))


def _refused(why: str) -> Refused:
    return Refused(why, code="eim.bad_order")
