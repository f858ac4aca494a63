"""Profile packages of the TCA interoperable format 2.3 and 3.3: read, build, edit, lint, compare, install.

`Package.decode(octets)` reads, `instantiate(package)` gives the file system that a card would make of it.
Pure; imports floor 0 only (ids, errors, seams, der, messages, crypto).
"""

from keim.saip.filesystem import (
    ApplicationEntry,
    Authentication,
    CdmaCredentials,
    Directory,
    Ef,
    FileSystem,
    Key,
    LoadPackage,
    Node,
    Pin,
    Puk,
    RemoteFileManagement,
    SdKey,
    SecurityDomainEntry,
    Source,
)
from keim.saip.installation import Installed, install, instantiate
from keim.saip.package import Element, Package
from keim.saip.platform import Platform
from keim.saip.refusals import (
    BadRecipe,
    BrokenPackage,
    ElementStatus,
    Finding,
    NoSuchFile,
    PackageRefused,
    Severity,
    Status,
)
from keim.saip.templates import Structure

__all__ = [
    "ApplicationEntry",
    "Authentication",
    "BadRecipe",
    "BrokenPackage",
    "CdmaCredentials",
    "Directory",
    "Ef",
    "Element",
    "ElementStatus",
    "FileSystem",
    "Finding",
    "Installed",
    "Key",
    "LoadPackage",
    "NoSuchFile",
    "Node",
    "Package",
    "PackageRefused",
    "Pin",
    "Platform",
    "Puk",
    "RemoteFileManagement",
    "SdKey",
    "SecurityDomainEntry",
    "Severity",
    "Source",
    "Status",
    "Structure",
    "install",
    "instantiate",
]
