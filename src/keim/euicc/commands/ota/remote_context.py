"""A command's context when it came over the air: its own session, and rights from the packet's
application.

Nothing of the terminal's session is seen or changed: no PIN that the terminal verified counts, and a PIN
verified over the air opens nothing to the terminal.
"""

from __future__ import annotations

from keim.euicc.context import Access, CardContext
from keim.euicc.state import Channel, Volatile
from keim.saip.filesystem import MF_FID, Key, RemoteFileManagement

FULL_ACCESS, BY_REFERENCES = 0x00, 0x02
NO_ACCESS = Access(is_full=False, references=frozenset())


def access_of(parameter: bytes) -> Access:
    """An access domain parameter: 00 is full access, 02 names key references that count as verified [G]."""
    if parameter[:1] == bytes([FULL_ACCESS]):
        return Access(is_full=True, references=frozenset())
    if parameter[:1] == bytes([BY_REFERENCES]):
        return Access(is_full=False, references=frozenset(parameter[1:]))
    return NO_ACCESS


class RemoteContext(CardContext):
    __slots__ = ("_application", "_volatile")

    def __init__(self, context: CardContext, application: RemoteFileManagement) -> None:
        super().__init__(context._card, 0)
        self._application = application
        adf = None if application.adf is None else self._adf(application.adf)
        channel = Channel(
            application=None if adf is None else application.adf, directory=(MF_FID,) if adf is None else adf
        )
        self._volatile = Volatile(channels={0: channel})

    def _adf(self, aid: bytes) -> Key | None:
        base = self.file_system
        found = None if base is None else base.adf(aid)
        return None if found is None else (found.fid,)

    @property
    def volatile(self) -> Volatile:
        return self._volatile

    @volatile.setter
    def volatile(self, value: Volatile) -> None:
        self._volatile = value

    def remote_access(self, key: Key) -> Access:
        """Files of the application's ADF by the ADF's domain, all others by the UICC's."""
        application = self._application
        is_in_adf = key[0] != MF_FID
        if is_in_adf and application.adf is None:
            return NO_ACCESS
        return access_of(application.adf_access if is_in_adf else application.access)
