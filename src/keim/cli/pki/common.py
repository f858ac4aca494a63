"""What the verbs of `keim pki` share: times, and how a credential is listed."""

from __future__ import annotations

from datetime import UTC, datetime

from keim.cli.output import note
from keim.errors import Refused
from keim.ids import Eid
from keim.pki import Curve
from keim.pki.dates import time_text
from keim.pki.world import Credential


def time_of(text: str | None) -> datetime:
    """RFC 3339, else now; a date alone means its first second, and no zone means UTC."""
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text!r} is no time such as 2026-11-20T12:00:00Z", code="pki.bad_time") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def curve_of(text: str | None) -> Curve | None:
    return None if text is None else Curve(text)


def document_of(credential: Credential) -> dict[str, object]:
    return {
        "name": credential.name,
        "role": credential.role.value,
        "curve": credential.curve.value,
        "subject": credential.certificate.title,
        "serial": f"{credential.certificate.serial:X}",
        "valid_until": time_text(credential.certificate.not_after),
        "key": credential.key is not None,
        "sha256": credential.certificate.fingerprint.hex(),
    }


def print_table(credentials: tuple[Credential, ...]) -> None:
    width = max((len(c.name) for c in credentials), default=0)
    for c in credentials:
        key = "key   " if c.key is not None else "no key"
        until = time_text(c.certificate.not_after)[:10]
        print(f"{c.name.ljust(width)}  {c.curve.value:9}  {key}  until {until}  {c.certificate.title}")


def note_check_digits(eid: str) -> None:
    """Tools tell, nobody refuses (crypto §1.7)."""
    if not Eid(eid).has_valid_check_digits:
        note(f"EID {eid} has wrong check digits: perhaps a slip; no card or server looks at them")
