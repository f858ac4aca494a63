"""What can be wrong with a package, named: by rule, element, tag and offset, and by the PEStatus that a
card answers.

Must never import anything above floor 0.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import ClassVar

import msgspec

from keim.errors import Malformed, PeerError, Refused


class Status(IntEnum):
    """PEStatus of the EUICCResponse (§11 of the sheet; clause 8.11 of the format)."""

    OK = 0
    PE_NOT_SUPPORTED = 1
    MEMORY_FAILURE = 2
    BAD_VALUES = 3
    NOT_ENOUGH_MEMORY = 4
    INVALID_REQUEST_FORMAT = 5
    INVALID_PARAMETER = 6
    RUNTIME_NOT_SUPPORTED = 7
    LIB_NOT_SUPPORTED = 8
    TEMPLATE_NOT_SUPPORTED = 9
    FEATURE_NOT_SUPPORTED = 10
    PIN_CODE_MISSING = 11
    UNSUPPORTED_PROFILE_VERSION = 31


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong or worth knowing. `offset` counts from the start of the package."""

    rule: str
    severity: Severity
    message: str
    index: int | None = None
    """The element, counted from 0; None when the package as a whole is meant."""
    element: str = ""
    tag: int | None = None
    offset: int | None = None
    path: str = ""
    """The file or field that is meant."""
    status: Status | None = None
    """What a card answers; None when it does not care."""
    additional: int | None = None

    def __str__(self) -> str:
        where = f"element {self.index} ({self.element}, tag {self.tag:X}), " if self.tag is not None else ""
        at = f"offset {self.offset}: " if self.offset is not None else ""
        path = f"{self.path}: " if self.path else ""
        return f"{self.rule}: {where}{at}{path}{self.message}"


class ElementStatus(msgspec.Struct, frozen=True):
    """One PEStatus of the EUICCResponse."""

    status: Status
    identification: int | None = None
    additional: int | None = None
    offset: int | None = None
    """From the first octet of the element."""
    rule: str = ""
    message: str = ""


class BrokenPackage(Malformed):
    """Octets that are no package: rule DER or TRAILING."""

    code = "saip.broken_package"

    def __init__(
        self, message: str, *, offset: int, index: int, tag: int | None, rule: str, path: str = ""
    ) -> None:
        super().__init__(message, offset=offset, path=path)
        self.index = index
        self.tag = tag
        self.rule = rule

    def __str__(self) -> str:
        tag = f", tag {self.tag:X}" if self.tag is not None else ""
        path = f"{self.path}: " if self.path else ""
        return f"{self.rule}: element {self.index}{tag}, offset {self.offset}: {path}{self.message}"


class PackageRefused(PeerError):
    """A card would not install the package; `finding` says which element broke which rule."""

    code = "saip.refused"
    status: ClassVar[Status] = Status.BAD_VALUES

    def __init__(self, finding: Finding, statuses: tuple[ElementStatus, ...] = ()) -> None:
        super().__init__(str(finding), step=finding.rule)
        self.finding = finding
        self.rule = finding.rule
        self.index = finding.index
        self.tag = finding.tag
        self.offset = finding.offset
        self.statuses = statuses
        """For the EUICCResponse: the warnings so far and, last, the reason of the abort."""


class PeNotSupported(PackageRefused):
    code = "saip.pe_not_supported"
    status = Status.PE_NOT_SUPPORTED


class BadValues(PackageRefused):
    code = "saip.bad_values"
    status = Status.BAD_VALUES


class NotEnoughMemory(PackageRefused):
    code = "saip.not_enough_memory"
    status = Status.NOT_ENOUGH_MEMORY


class InvalidRequestFormat(PackageRefused):
    code = "saip.invalid_request_format"
    status = Status.INVALID_REQUEST_FORMAT


class InvalidParameter(PackageRefused):
    code = "saip.invalid_parameter"
    status = Status.INVALID_PARAMETER


class RuntimeNotSupported(PackageRefused):
    code = "saip.runtime_not_supported"
    status = Status.RUNTIME_NOT_SUPPORTED


class LibNotSupported(PackageRefused):
    code = "saip.lib_not_supported"
    status = Status.LIB_NOT_SUPPORTED


class TemplateNotSupported(PackageRefused):
    code = "saip.template_not_supported"
    status = Status.TEMPLATE_NOT_SUPPORTED


class FeatureNotSupported(PackageRefused):
    code = "saip.feature_not_supported"
    status = Status.FEATURE_NOT_SUPPORTED


class PinCodeMissing(PackageRefused):
    code = "saip.pin_code_missing"
    status = Status.PIN_CODE_MISSING


class UnsupportedProfileVersion(PackageRefused):
    code = "saip.unsupported_profile_version"
    status = Status.UNSUPPORTED_PROFILE_VERSION


BY_STATUS: dict[Status, type[PackageRefused]] = {
    refusal.status: refusal
    for refusal in (
        *(PeNotSupported, BadValues, NotEnoughMemory, InvalidRequestFormat, InvalidParameter),
        *(RuntimeNotSupported, LibNotSupported, TemplateNotSupported, FeatureNotSupported),
        *(PinCodeMissing, UnsupportedProfileVersion),
    )
}


class BadRecipe(Refused):
    """A profile.toml, a row of a table or an edit that makes no profile. `key` names the culprit."""

    code = "saip.bad_recipe"

    def __init__(self, message: str, *, key: str = "", row: int | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.row = row

    def __str__(self) -> str:
        row = f"row {self.row}: " if self.row is not None else ""
        key = f"{self.key}: " if self.key else ""
        return f"{row}{key}{self.message}"


class NoSuchFile(Refused):
    """A path that the profile does not have."""

    code = "saip.file_not_found"
