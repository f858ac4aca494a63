"""Installing a package as a card does: element by element, to a file system or to a refusal with its
PEStatus.

Structure first (order, versions, sizes: `keim.saip.rules`), then each element in turn. A fault of an
element that is not mandated leaves no trace of it and is told as a warning (§6.5). Must never import
anything above floor 0.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NoReturn

import msgspec

from keim.ids import Iccid
from keim.saip.elements import (
    AkaParameter,
    Application,
    CdmaParameter,
    End,
    GenericFileManagement,
    NonStandard,
    PinCodes,
    ProfileHeader,
    PukCodes,
    Rfm,
    SecurityDomain,
)
from keim.saip.file_element import FileSystemElement
from keim.saip.filesystem import FileSystem, Key
from keim.saip.installing.file_management import manage_files
from keim.saip.installing.keys import (
    IOT_ADM1,
    IOT_PIN1,
    IOT_PUK1,
    Holdings,
    define_application,
    define_authentication,
    define_cdma,
    define_pins,
    define_puks,
    define_rfm,
    define_security_domain,
)
from keim.saip.installing.services import clear_unsupported_services
from keim.saip.installing.template_files import make_template_files
from keim.saip.installing.tree import MOST_MEMORY, Fault, Origin, Tree
from keim.saip.package import Element, Package
from keim.saip.platform import Platform
from keim.saip.refusals import BY_STATUS, ElementStatus, Finding, PackageRefused, Severity, Status
from keim.saip.rules.structure import structural_findings

_OWN_CARD = Platform()


class Installed(msgspec.Struct, frozen=True):
    file_system: FileSystem
    statuses: tuple[ElementStatus, ...]
    """For the EUICCResponse: a warning for each element that was left out, then the final ok."""


def instantiate(package: Package, platform: Platform = _OWN_CARD) -> FileSystem:
    """The profile as a card would have it after installing the package; `PackageRefused` otherwise."""
    return install(package, platform).file_system


def install(package: Package, platform: Platform = _OWN_CARD) -> Installed:
    """As `instantiate`, with the statuses that the card reports."""
    run = _Run(package, platform)
    skipped: set[int] = set()
    for finding in structural_findings(package, platform):
        if finding.severity is not Severity.ERROR or finding.status is None:
            continue
        element = package.elements[finding.index] if finding.index is not None else None
        if element is None or element.is_mandated:
            run.abort(finding)
        if element.index not in skipped:
            skipped.add(element.index)
            run.warn(finding)
    for element in package.elements:
        if element.index not in skipped:
            run.element(element)
    run.finish()
    clear_unsupported_services(run.tree, platform.services)
    file_system = run.freeze()
    return Installed(file_system, (*run.statuses, ElementStatus(Status.OK)))


def installation_findings(package: Package, platform: Platform) -> tuple[list[Finding], FileSystem | None]:
    """Every fault that installing meets, going on after each; and the file system when there was none."""
    run = _Run(package, platform, collect=True)
    for element in package.elements:
        run.element(element)
    run.finish()
    return run.findings, (run.freeze() if run.tree.mf is not None and package.iccid is not None else None)


def file_origins(package: Package) -> tuple[dict[Key, Origin], FileSystem]:
    """Where each file of a package is made, and the file system; `PackageRefused` if there is none."""
    run = _Run(package, _OWN_CARD, collect=True)
    run.tree.origins = {}
    for element in package.elements:
        run.element(element)
    run.finish()
    if run.tree.mf is None and run.findings:
        run.abort(run.findings[0])
    return run.tree.origins, run.freeze()


class _Run:
    """One installation at work."""

    def __init__(self, package: Package, platform: Platform, *, collect: bool = False) -> None:
        header = package.header
        self.package = package
        self.platform = platform
        self.collect = collect
        self.tree = Tree(
            package.iccid,
            header.iot_options.pix if header and header.iot_options else None,
            MOST_MEMORY if platform.free_memory is None else min(platform.free_memory, MOST_MEMORY),
        )
        self.holdings = Holdings()
        self.statuses: list[ElementStatus] = []
        self.findings: list[Finding] = []

    # --- verdicts ---

    def abort(self, finding: Finding) -> NoReturn:
        status = finding.status or Status.BAD_VALUES
        refusal: type[PackageRefused] = BY_STATUS.get(status, PackageRefused)
        raise refusal(finding, (*self.statuses, self._status(finding)))

    def warn(self, finding: Finding) -> None:
        self.statuses.append(self._status(finding))

    def _status(self, finding: Finding) -> ElementStatus:
        element = self.package.elements[finding.index] if finding.index is not None else None
        offset = None
        if element is not None and finding.offset is not None and finding.offset >= element.offset:
            offset = min(finding.offset - element.offset, 0xFFFF)
        return ElementStatus(
            status=finding.status or Status.BAD_VALUES,
            identification=element.identification if element is not None else None,
            additional=finding.additional,
            offset=offset,
            rule=finding.rule,
            message=finding.message,
        )

    def _fault(self, element: Element, fault: Fault) -> None:
        finding = Finding(
            rule=fault.rule,
            severity=Severity.ERROR,
            message=fault.message,
            index=element.index,
            element=element.name,
            tag=element.tag,
            offset=_offset(element, fault.path),
            path=fault.path,
            status=fault.status,
        )
        if self.collect:
            self.findings.append(finding)
        elif element.is_mandated:
            self.abort(finding)
        else:
            raise _LeaveOut(finding)

    # --- elements ---

    def element(self, element: Element) -> None:
        before = None
        if not element.is_mandated and not self.collect:
            before = copy.deepcopy((self.tree, self.holdings))
        try:
            try:
                self._process(element)
                self._check_memory(element)
            except Fault as fault:
                self._fault(element, fault)
        except _LeaveOut as left_out:
            if before is not None:
                self.tree, self.holdings = before
            self.warn(left_out.finding)

    def _process(self, element: Element) -> None:
        value, tree, holdings = element.value, self.tree, self.holdings
        tree.index = element.index
        if isinstance(value, FileSystemElement):
            make_template_files(tree, value, element.name, self._each_fault(element))
            if element.name == "iot":
                self._iot_defaults()
        elif isinstance(value, GenericFileManagement):
            manage_files(tree, value, self._each_fault(element))
        elif isinstance(value, PukCodes):
            define_puks(holdings, value)
        elif isinstance(value, PinCodes):
            define_pins(tree, value)
        elif isinstance(value, AkaParameter):
            define_authentication(tree, holdings, value)
        elif isinstance(value, CdmaParameter):
            define_cdma(tree, holdings, value, element.raw)
        elif isinstance(value, SecurityDomain):
            define_security_domain(holdings, value)
        elif isinstance(value, Rfm):
            define_rfm(holdings, value)
        elif isinstance(value, Application):
            define_application(holdings, value, self.platform.libraries | self._mandatory_aids())
        elif not isinstance(value, (ProfileHeader, NonStandard, End)):
            raise Fault("PE-UNKNOWN", "no such element is known", status=Status.PE_NOT_SUPPORTED)

    def _each_fault(self, element: Element) -> Callable[[Fault], None]:
        return lambda fault: self._fault(element, fault)

    def _mandatory_aids(self) -> frozenset[bytes]:
        header = self.package.header
        return frozenset(entry.aid for entry in (header.mandatory_aids or ())) if header else frozenset()

    def _iot_defaults(self) -> None:
        if self.tree.mf is not None:
            self.tree.mf.pins[1] = IOT_PIN1
            self.tree.mf.pins[0x0A] = IOT_ADM1
        self.holdings.puks.setdefault(1, IOT_PUK1)

    def _check_memory(self, element: Element) -> None:
        """Charged while loading, so that the element that exceeds the quota is the one that fails (euicc
        §13).
        """
        if self.platform.free_memory is None or self.tree.mf is None:
            return
        charge = (
            self.tree.charge + self.holdings.charge + sum(64 * len(d.pins) for d in self.tree.directories())
        )
        if charge > self.platform.free_memory:
            raise Fault(
                "MEMORY",
                f"{charge} octets are needed so far, {self.platform.free_memory} are free",
                status=Status.NOT_ENOUGH_MEMORY,
            )

    # --- the end ---

    def finish(self) -> None:
        """What can be judged only when all elements are there: PIN references and link targets."""
        if self.tree.mf is None:
            last = self.package.elements[-1]
            self._fault(last, Fault("MF-FIRST", "the package makes no MF"))
            return
        frozen = self.freeze()
        for key, node in frozen.walk():
            references = getattr(node, "pin_references", b"")
            for reference in references:
                if frozen.pin_context(key, reference) is None:
                    self._pin_missing(key, reference, frozen.path(key))

    def _pin_missing(self, key: tuple[int, ...], reference: int, path: str) -> None:
        maker = self.tree.at(key)
        element = self.package.elements[getattr(maker, "made_by", 0)]
        message = f"key reference {reference:02X} of its pinStatusTemplateDO is defined nowhere"
        fault = Fault("PIN-MISSING", message, status=Status.PIN_CODE_MISSING, path=path)
        if self.package.is_iot_minimal and reference & 0x80:
            # the exact PIN rules of IoT profiles are open (§16): told, not refused
            if self.collect:
                self._fault(element, fault)
                self.findings[-1] = msgspec.structs.replace(
                    self.findings[-1], severity=Severity.WARNING, status=None
                )
            return
        try:
            self._fault(element, fault)
        except _LeaveOut as left_out:
            self.warn(left_out.finding)

    def freeze(self) -> FileSystem:
        tree, holdings, header = self.tree, self.holdings, self.package.header
        assert tree.mf is not None
        return FileSystem(
            iccid=tree.iccid or Iccid("0" * 18),
            profile_type=(header.profile_type or "") if header is not None else "",
            mf=tree.mf.freeze(),
            adfs=tuple(adf.freeze() for adf in tree.adfs.values()),
            puks=tuple(holdings.puks.values()),
            authentications=tuple(holdings.authentications.values()),
            security_domains=tuple(holdings.domains),
            remote=tuple(holdings.remote),
            applications=tuple(holdings.applications),
            load_packages=tuple(holdings.load_packages),
            cdma=tuple(holdings.cdma),
            is_iot_minimal=self.package.is_iot_minimal,
        )


def _offset(element: Element, path: str) -> int:
    """Of the field that is meant where the element gives it, else of the element."""
    value = element.value
    if isinstance(value, FileSystemElement):
        for field in value.fields:
            row = value.row(field)
            if row is not None and row.field == path:
                return element.offset + element.raw.index(field.raw)
    return element.offset


class _LeaveOut(Exception):
    """The element is not mandated: its effects are taken back."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding
