"""Papers of a hand-over with their signature: the log's key of a tenant signs what the tenant hands out.

A paper is its lines, an empty line, and one signature line as in a signed note (C2SP signed-note), over the
SHA-256 of the lines. Joins keim.eim.handover.papers and keim.audit.note; touches no file.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final

from keim.audit.note import NoteKey, NoteSigner, open_note, sign_note
from keim.eim.handover.papers import (
    BundleHeader,
    BundleLine,
    InvitationHeader,
    Paper,
    ReceiptHeader,
    ReceiptLine,
    read,
    written,
)
from keim.eim.handover.rows import Invitation
from keim.errors import BadSignature, KeimError, Malformed
from keim.messages.package import EimConfigurationData

_LONGEST_SIGNATURE: Final = 1024


def signed(octets: bytes, signer: NoteSigner) -> bytes:
    note = sign_note(_text(octets), signer)
    return octets + note[len(_text(octets)) :].encode()


def opened(paper: bytes, key: NoteKey) -> bytes:
    """The lines, when `key` has signed them."""
    cut = paper.rfind(b"\n\n")
    signature = paper[cut + 1 :]
    if cut < 0 or len(signature) > _LONGEST_SIGNATURE:
        raise Malformed("lines, an empty line and a signature are needed", offset=max(cut, 0), path="paper",
                        code="handover.bad_paper")  # fmt: skip
    octets = paper[: cut + 1]
    try:
        open_note(_text(octets).encode() + signature, key)
    except KeimError as error:
        raise BadSignature(
            f"{key.name} has not signed this paper: {error}", code="handover.bad_signature"
        ) from None
    return octets


def _text(octets: bytes) -> str:
    return f"keim-handover\n{b64encode(sha256(octets).digest()).decode()}\n"


def write_invitation(invitation: Invitation, signer: NoteSigner) -> bytes:
    header = InvitationHeader(
        id=invitation.id,
        eim_id=invitation.eim_id,
        eim_configuration_data=invitation.entry.hex().upper(),
        log_key=invitation.log_key,
        expires_at=invitation.expires_at,
    )
    return signed(written(header), signer)


def read_invitation(paper: bytes, key: NoteKey) -> Invitation:
    """`key` is what the new eIM published: an invitation proves itself by nothing else."""
    header, _ = read(opened(paper, key), InvitationHeader, Paper)
    try:
        entry = bytes.fromhex(header.eim_configuration_data)
        data = EimConfigurationData.decode(entry)
        is_one = (data.eim_id, NoteKey.from_text(header.log_key)) == (header.eim_id, key)
    except (KeimError, ValueError):
        is_one = False
    if not is_one:
        raise Malformed(
            "its parts do not belong together", offset=0, path="invitation", code="handover.bad_paper"
        )
    return Invitation(
        id=header.id,
        eim_id=header.eim_id,
        entry=entry,
        log_key=header.log_key,
        expires_at=header.expires_at,
    )


def read_bundle(paper: bytes, key: NoteKey) -> tuple[BundleHeader, tuple[BundleLine, ...]]:
    header, lines = read(opened(paper, key), BundleHeader, BundleLine)
    _check_count(header.devices, [line.eid for line in lines])
    return header, lines


def read_receipt(paper: bytes, key: NoteKey) -> tuple[ReceiptHeader, tuple[ReceiptLine, ...]]:
    header, lines = read(opened(paper, key), ReceiptHeader, ReceiptLine)
    _check_count(header.devices, [line.eid for line in lines])
    return header, lines


def _check_count(devices: int, eids: list[str]) -> None:
    if devices != len(eids) or len(set(eids)) != len(eids):
        raise Malformed(
            "it does not hold as many devices as it says", offset=0, path="paper", code="handover.bad_paper"
        )
