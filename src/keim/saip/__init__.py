"""Profile packages of the TCA interoperable format 2.3 and 3.3: read, build, edit, lint, compare, install.

`Package.decode(octets)` reads, `instantiate(package)` gives the file system that a card would make of it.
Pure; imports floor 0 only (ids, errors, seams, der, messages, crypto).
"""

from keim.saip.build import SHAPES, new
from keim.saip.comparison import Comparison, Difference, Verdict, compare, difference
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
from keim.saip.linter import lint
from keim.saip.package import Element, Package
from keim.saip.platform import ANY_CARD, Platform
from keim.saip.recipe import DomainKeys, Recipe, recipe_from_toml, recipe_of
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
from keim.saip.scan import Scan, ScannedNode, scan_card, scan_of
from keim.saip.store_metadata import metadata
from keim.saip.templates import Structure

__all__ = [
    "ANY_CARD",
    "SHAPES",
    "ApplicationEntry",
    "Authentication",
    "BadRecipe",
    "BrokenPackage",
    "CdmaCredentials",
    "Comparison",
    "Difference",
    "Directory",
    "DomainKeys",
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
    "Recipe",
    "RemoteFileManagement",
    "Scan",
    "ScannedNode",
    "SdKey",
    "SecurityDomainEntry",
    "Severity",
    "Source",
    "Status",
    "Structure",
    "Verdict",
    "compare",
    "difference",
    "install",
    "instantiate",
    "lint",
    "metadata",
    "new",
    "recipe_from_toml",
    "recipe_of",
    "scan_card",
    "scan_of",
]
