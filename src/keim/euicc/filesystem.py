"""The file system of the enabled profile as it is now: what the package made, seen through what the card
changed.

`Files` is a view for one command: the immutable tree of `keim.saip` and the profile's `UiccState` on top of
it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keim.euicc.context import CardContext
from keim.euicc.state import Profile, UiccState
from keim.euicc.status import FILE_NOT_FOUND, StatusError
from keim.saip.filesystem import CURRENT_ADF, MF_FID, Directory, Ef, FileSystem, Key, Node

MASTER_FILE: Key = (MF_FID,)
ACTIVATED, DEACTIVATED = 0x05, 0x04


def octets_of(key: Key) -> bytes:
    """A key as it stands in the state's mappings."""
    return b"".join(fid.to_bytes(2, "big") for fid in key)


class Files:
    __slots__ = ("base", "context", "profile")

    def __init__(self, context: CardContext, profile: Profile, base: FileSystem) -> None:
        self.context = context
        self.profile = profile
        self.base = base

    @property
    def uicc(self) -> UiccState:
        return self.profile.uicc

    def commit(self, transaction: str, uicc: UiccState) -> None:
        self.profile = msgspec.structs.replace(self.profile, uicc=uicc)
        self.context.commit(transaction, self.context.state.with_profile(self.profile))

    # looking

    def node(self, key: Key) -> Node | None:
        return self.base.node(key)

    def directory(self, key: Key) -> Directory:
        found = self.base.node(self.base.target(key))
        if not isinstance(found, Directory):
            raise StatusError(FILE_NOT_FOUND)
        return found

    def ef(self, key: Key) -> Ef:
        """The file that holds the content: links are followed."""
        found = self.base.node(self.base.target(key))
        if not isinstance(found, Ef):
            raise StatusError(FILE_NOT_FOUND)
        return found

    def content(self, key: Key) -> bytes:
        target = self.base.target(key)
        changed = self.uicc.contents.get(octets_of(target))
        return self.ef(key).content if changed is None else changed

    def record(self, key: Key, number: int) -> bytes:
        length = self.ef(key).record_length
        return self.content(key)[(number - 1) * length : number * length]

    def life_cycle(self, key: Key) -> int:
        found = self.node(key)
        original = ACTIVATED if found is None else found.life_cycle
        return self.uicc.life_cycles.get(octets_of(self.base.target(key)), original)

    def children(self, key: Key) -> Mapping[int, Key]:
        """FID -> key of what stands in a directory."""
        found = self.base.node(key)
        holder = self.base.target(key)
        if not isinstance(found, Directory):
            return {}
        return {child.fid: (*holder, child.fid) for child in self.directory(key).children}

    # changing

    def write(self, key: Key, content: bytes) -> None:
        """T11: the file's new content, all or nothing."""
        contents = {**self.uicc.contents, octets_of(self.base.target(key)): content}
        self.commit("T11 update", msgspec.structs.replace(self.uicc, contents=contents))

    def set_life_cycle(self, key: Key, value: int) -> None:
        life_cycles = {**self.uicc.life_cycles, octets_of(self.base.target(key)): value}
        self.commit("T11 life cycle", msgspec.structs.replace(self.uicc, life_cycles=life_cycles))

    # finding

    def by_fid(self, fid: int, directory: Key, adf: Key | None) -> Key:
        """SELECT by file identifier: the current directory, its children, its parent, the parent's children,
        the MF's children, in this order (TS 102 221 clause 8.4.1).
        """
        if fid == MF_FID:
            return MASTER_FILE
        if fid == CURRENT_ADF:
            if adf is None:
                raise StatusError(FILE_NOT_FOUND)
            return adf
        if len(directory) > 1 and directory[-1] == fid:
            return directory
        parent = self.parent(directory)
        if len(parent) > 1 and parent[-1] == fid:
            return parent
        for holder in (directory, parent, MASTER_FILE):
            found = self.children(holder).get(fid)
            if found is not None:
                return found
        raise StatusError(FILE_NOT_FOUND)

    def by_path(self, path: bytes, start: Key, adf: Key | None) -> Key:
        """SELECT by path from `start`; 3F00 and 7FFF may stand first."""
        if not path or len(path) % 2:
            raise StatusError(FILE_NOT_FOUND)
        fids = [int.from_bytes(path[i : i + 2], "big") for i in range(0, len(path), 2)]
        here = start
        for position, fid in enumerate(fids):
            if position == 0 and fid in {MF_FID, CURRENT_ADF}:
                here = self.by_fid(fid, here, adf)
                continue
            found = self.children(here).get(fid)
            if found is None:
                raise StatusError(FILE_NOT_FOUND)
            here = found
        return here

    def by_sfi(self, sfi: int, directory: Key) -> Key:
        for key in self.children(directory).values():
            found = self.node(key)
            if isinstance(found, Ef) and found.sfi == sfi:
                return key
        raise StatusError(FILE_NOT_FOUND)

    def parent(self, key: Key) -> Key:
        """An ADF's parent is the MF."""
        return key[:-1] if len(key) > 1 else MASTER_FILE


def files_of(context: CardContext) -> Files:
    """The view for this command; 6A82 when no profile is enabled."""
    profile, base = context.state.enabled_profile, context.file_system
    if profile is None or base is None:
        raise StatusError(FILE_NOT_FOUND)
    return Files(context, profile, base)


def current_adf(context: CardContext, files: Files) -> Key | None:
    """The ADF of the application selected on this channel."""
    application = context.channel.application
    found = None if application is None else files.base.adf(application)
    return None if found is None else (found.fid,)
