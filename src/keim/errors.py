"""The tree of exceptions; the sentences stand in error_codes/*.toml (see `keim explain`).

Three kinds of trouble, and a reader knows which at a glance (docs/architecture.md, "Errors"):
protocol outcomes are values, never exceptions; `PeerError` says that somebody sent us something that
the standard does not allow; `WorldError` says that our own surroundings failed; `Refused` says that what
a person or a program asked of us cannot be done as asked.

    KeimError
    ├── PeerError            a peer, a card or a file misbehaved
    │   ├── Malformed        bytes that are no such object: offset and field path
    │   │   └── UnsupportedAlternative
    │   ├── BadSignature
    │   ├── Untrusted        a certificate or chain was refused
    │   └── UnexpectedStep   right message, wrong moment
    ├── WorldError           the network, the disk, the clock
    │   ├── Unreachable
    │   ├── TimedOut
    │   └── StoreFailed
    └── Refused              a request of ours that makes no sense: values, files, flags
        └── Unencodable      a value that has no encoding

Imports nothing of keim.
"""

from __future__ import annotations


class KeimError(Exception):
    """Anything that keim raises on purpose. `code` is a row of the error table."""

    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        party: str | None = None,
        step: str | None = None,
        evidence: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.party = party
        self.step = step
        self.evidence = evidence

    def __str__(self) -> str:
        return self.message


class PeerError(KeimError):
    code = "peer.misbehaved"


class Malformed(PeerError):
    """Bytes that are not what they should be. `offset` counts from the start of the object given."""

    code = "codec.malformed"

    def __init__(
        self,
        message: str,
        *,
        offset: int,
        path: str = "",
        code: str | None = None,
        party: str | None = None,
        evidence: str | None = None,
    ) -> None:
        super().__init__(message, code=code, party=party, evidence=evidence)
        self.offset = offset
        self.path = path

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.message} (offset {self.offset})"


class UnsupportedAlternative(Malformed):
    """A CHOICE carries an alternative that we do not know; the message around it may be fine."""

    code = "codec.unsupported_alternative"


class BadSignature(PeerError):
    code = "crypto.bad_signature"


class Untrusted(PeerError):
    code = "pki.untrusted"


class UnexpectedStep(PeerError):
    code = "peer.unexpected_step"


class WorldError(KeimError):
    code = "world.failed"


class Unreachable(WorldError):
    code = "world.unreachable"


class TimedOut(WorldError):
    code = "world.timed_out"


class StoreFailed(WorldError):
    code = "world.store_failed"


class Refused(KeimError):
    code = "request.refused"


class Unencodable(Refused):
    """A value that cannot be written: a size, a range or a type is wrong. `path` names the field."""

    code = "codec.unencodable"

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message
