"""What the card offers to profiles: one value for EUICCInfo2, installation, and the file systems made later.

A profile is installed once and its file system is made again from its package after every reset, so both
must judge by the same platform. Imports floor 0 only.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from keim.saip import FileSystem, Installed, Package, Platform, install

PLATFORM = Platform()


def install_within(package: Package, free_octets: int) -> Installed:
    """As the card does it when a package has come in; raises what `keim.saip.install` raises."""
    return install(package, msgspec.structs.replace(PLATFORM, free_memory=free_octets))


@lru_cache(maxsize=64)
def file_system_of(package: bytes) -> FileSystem:
    """Of an installed package. Cards that are awake share what their packages have in common; idle ones hold
    no file system.
    """
    return install(Package.decode(package), PLATFORM).file_system
