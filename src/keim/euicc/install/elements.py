"""The profile elements, all in: installed by `keim.saip`, compared with the metadata, made a profile (T5)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from keim.euicc.install.refusal import InstallationRefused
from keim.euicc.install.response import euicc_response
from keim.euicc.isdr import memory
from keim.euicc.platform import install_within
from keim.messages.notification import BppCommandId, ErrorReason
from keim.messages.profile import ProfileClass, StoreMetadataRequest
from keim.saip import (
    BrokenPackage,
    Ef,
    ElementStatus,
    FileSystem,
    Installed,
    Package,
    PackageRefused,
    Status,
)
from keim.saip.elements import Algorithm

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

EF_ICCID = (0x3F00, 0x2FE2)
PUBLISHED_TEST_KEYS = frozenset(
    bytes.fromhex(key)
    for key in (
        "66778899AABBCCDD1122334455EEFF10",  # GSMA TS.48
        "112233445566778899AABBCCDDEEFF10",
        "99AABBCCDDEEFF101122334455667788",
        "465B5CE8B199B49FAA5F0A2EE238A6BC",  # 3GPP TS 35.208 test set 1
    )
)


def installed(
    context: CardContext, octets: bytes, metadata: StoreMetadataRequest, metadata_octets: int
) -> tuple[Package, Installed, int]:
    """The package, what it makes, and the octets to charge; or `InstallationRefused`."""
    overhead = memory.ISDP_OCTETS + metadata_octets
    try:
        package = Package.decode(octets)
        made = install_within(package, memory.free(context) - overhead)
    except BrokenPackage as fault:
        status = ElementStatus(Status.INVALID_REQUEST_FORMAT, rule=fault.rule, message=fault.message)
        _refuse(
            ErrorReason.INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR,
            euicc_response((status,), is_aborted=True),
        )
    except PackageRefused as fault:
        is_memory = fault.finding.status is Status.NOT_ENOUGH_MEMORY
        _refuse(
            ErrorReason.INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE
            if is_memory
            else ErrorReason.INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR,
            euicc_response(fault.statuses, is_aborted=True),
        )
    if not _is_of(metadata.iccid, package, made.file_system):
        _refuse(ErrorReason.INSTALL_FAILED_DUE_TO_DATA_MISMATCH)
    if metadata.profile_class is ProfileClass.TEST and not _has_test_keys_only(made.file_system):
        _refuse(ErrorReason.TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY)
    return package, made, overhead + made.file_system.charge


def _refuse(reason: ErrorReason, sima_response: bytes | None = None) -> NoReturn:
    raise InstallationRefused(BppCommandId.LOAD_PROFILE_ELEMENTS, reason, sima_response)


def _is_of(iccid: bytes, package: Package, file_system: FileSystem) -> bool:
    """The header's ICCID and EF.ICCID must both be the metadata's (profile-package.md section 11)."""
    header = package.iccid
    file = file_system.node(EF_ICCID)
    return (
        header is not None
        and header.octets == iccid
        and (not isinstance(file, Ef) or file.content[:10] == iccid)
    )


def _has_test_keys_only(file_system: FileSystem) -> bool:
    return all(
        entry.algorithm is Algorithm.USIM_TEST or entry.key in PUBLISHED_TEST_KEYS or _is_trivial(entry.key)
        for entry in file_system.authentications
        if entry.shared_with is None
    )


def _is_trivial(key: bytes) -> bool:
    """All octets equal, or counting by a constant step: nobody could take it for a secret."""
    steps = {(b - a) & 0xFF for a, b in pairwise(key)}
    return len(steps) <= 1
