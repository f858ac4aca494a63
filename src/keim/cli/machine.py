"""What `keim doctor` looks at: Python, OpenSSL, clock, card readers, modems, ports, optional parts.

Each look is a function that returns findings and never fails: what cannot be seen is a finding too.
Later issues add theirs to `LOOKS`. Imports nothing of keim but the version.
"""

from __future__ import annotations

import os
import platform
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from keim import __version__

State = Literal["ok", "missing", "note"]

RELEASED: Final = 1767225600
"""The start of 2026: no keim was built before it, so an earlier clock is wrong."""

EXTRAS: Final = {
    "server": ("uvicorn", "a faster HTTP server"),
    "fast": ("awscrt", "signatures on P-256 in three quarters of the time"),
    "postgres": ("asyncpg", "the store in PostgreSQL"),
    "mqtt": ("paho", "ESipa through an MQTT broker"),
    "pcsc": ("smartcard", "cards in PC/SC readers"),
    "pkcs11": ("pkcs11", "keys in an HSM"),
    "coap": ("OpenSSL", "the second DTLS engine"),
}
"""Extra -> the module that shows its presence, what it is for."""

PORTS: Final = {8443: "ESipa (devices)", 8080: "API and console", 5684: "CoAP over DTLS"}


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    state: State
    detail: str
    remedy: str = ""
    is_required: bool = False

    def document(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name != "remedy" or value}


def python_findings() -> list[Finding]:
    is_new_enough = sys.version_info >= (3, 11)
    python = Finding(
        "python",
        "ok" if is_new_enough else "missing",
        f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}",
        "" if is_new_enough else "install Python 3.11 or later",
        is_required=True,
    )
    system = Finding("system", "note", f"{platform.system()} {platform.release()} {platform.machine()}")
    return [Finding("keim", "ok", __version__), python, system]


def library_findings() -> list[Finding]:
    findings = []
    for name in ("cryptography", "msgspec"):
        try:
            findings.append(Finding(name, "ok", version(name), is_required=True))
        except PackageNotFoundError:
            remedy = "install keim anew: pip install --force-reinstall keim"
            findings.append(Finding(name, "missing", "not installed", remedy, is_required=True))
    return findings


def openssl_findings() -> list[Finding]:
    findings = [Finding("openssl of python", "ok", f"{ssl.OPENSSL_VERSION} (HTTPS)")]
    try:
        from cryptography.hazmat.backends.openssl import backend
    except ImportError as error:
        return [*findings, Finding("openssl of cryptography", "missing", str(error), is_required=True)]
    findings.append(Finding("openssl of cryptography", "ok", backend.openssl_version_text()))
    own = "DTLS 1.2 by keim's own engine"
    if find_spec("OpenSSL") is None:
        remedy = "pip install keim[coap], where an audited library is wanted"
        return [*findings, Finding("dtls", "ok", f"{own} only", remedy)]
    from OpenSSL import SSL

    has_dtls = hasattr(SSL, "DTLS_METHOD")
    remedy = "" if has_dtls else "pip install --upgrade pyOpenSSL"
    return [*findings, Finding("dtls", "ok", f"{own}{' and by OpenSSL' if has_dtls else ' only'}", remedy)]


def clock_findings() -> list[Finding]:
    now = time.time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if now >= RELEASED:
        return [Finding("clock", "ok", shown)]
    remedy = "set the clock: certificates and signatures are checked against it"
    return [Finding("clock", "missing", f"{shown} is in the past", remedy, is_required=True)]


def reader_findings(pcscd_socket: Path = Path("/run/pcscd/pcscd.comm")) -> list[Finding]:
    """Without loading a driver: whether the PC/SC service and its Python binding are there."""
    findings = []
    if sys.platform.startswith("linux"):
        if pcscd_socket.exists():
            findings.append(Finding("pcscd", "ok", f"listens at {pcscd_socket}"))
        else:
            findings.append(
                Finding(
                    "pcscd", "missing", "no PC/SC service (card readers)", "apt install pcscd, then start it"
                )
            )
    if find_spec("smartcard") is None:
        return [*findings, Finding("card readers", "note", "cannot be listed without the extra pcsc")]
    return [*findings, *_listed_readers()]


def _listed_readers() -> list[Finding]:
    try:
        names = [str(reader) for reader in import_module("smartcard.System").readers()]
    except Exception as error:
        # The binding raises classes of its own, which exist only where it is installed.
        return [Finding("card readers", "note", f"cannot be listed: {error}")]
    return [Finding("card reader", "ok", name) for name in names] or [Finding("card readers", "note", "none")]


def modem_findings(devices: Path = Path("/dev")) -> list[Finding]:
    patterns = ("ttyUSB*", "ttyACM*", "cdc-wdm*", "wwan*", "cu.usb*")
    names = sorted(str(path) for pattern in patterns for path in devices.glob(pattern))
    if not names:
        return [Finding("modems", "note", "no serial modem seen")]
    findings = []
    for name in names:
        is_open = os.access(name, os.R_OK | os.W_OK)
        remedy = (
            "" if is_open else "add your user to the group of the device (often: dialout) and log in anew"
        )
        findings.append(Finding("modem", "ok" if is_open else "missing", name, remedy))
    return findings


def port_findings(ports: dict[int, str] | None = None) -> list[Finding]:
    findings = []
    for port, purpose in (PORTS if ports is None else ports).items():
        kind = socket.SOCK_DGRAM if "DTLS" in purpose else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                remedy = "stop what uses it, or choose another port in the configuration"
                findings.append(Finding(f"port {port}", "missing", f"{purpose}: {error.strerror}", remedy))
            else:
                findings.append(Finding(f"port {port}", "ok", f"{purpose}: free"))
    return findings


def extra_findings(extras: dict[str, tuple[str, str]] | None = None) -> list[Finding]:
    findings = []
    for extra, (module, purpose) in (EXTRAS if extras is None else extras).items():
        if find_spec(module) is not None:
            findings.append(Finding(f"extra {extra}", "ok", purpose))
        else:
            findings.append(Finding(f"extra {extra}", "missing", purpose, f"pip install 'keim[{extra}]'"))
    return findings


LOOKS: Final[tuple[Callable[[], list[Finding]], ...]] = (
    python_findings,
    library_findings,
    openssl_findings,
    clock_findings,
    reader_findings,
    modem_findings,
    port_findings,
    extra_findings,
)


def examine() -> list[Finding]:
    return [finding for look in LOOKS for finding in look()]
