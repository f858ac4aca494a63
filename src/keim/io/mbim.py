"""The card behind an MBIM modem, through `mbimcli` (Microsoft low-level UICC access; bindings §12.5).

Tested against a scripted mbimcli; not tried on hardware. Imports keim.errors and its neighbours only.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from keim.errors import Malformed, Refused, TimedOut, Unreachable
from keim.io.modem_channels import ModemChannels

CHANNEL_GROUP: Final = 1
TIMEOUT_S: Final = 120.0
_FIELD: Final = r"{}\s*:\s*'?(?P<value>[0-9A-Fa-fx:]+)"

Run = Callable[[Sequence[str]], str]
"""Runs a command and gives its output; the test's mbimcli stands in for it."""


def run_mbimcli(arguments: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            ["mbimcli", *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise Unreachable(
            "mbimcli is not installed (apt install libmbim-utils)", code="ipa.modem_unreachable"
        ) from None
    except subprocess.TimeoutExpired:
        raise TimedOut("mbimcli did not end in time", code="ipa.modem_silent") from None
    if done.returncode != 0:
        raise Refused((done.stderr or done.stdout).strip()[:200], code="ipa.modem_refused")
    return done.stdout


class MbimSessions:
    def __init__(self, device: str, run: Run = run_mbimcli) -> None:
        self._device, self._run = device, run

    def _mbimcli(self, option: str) -> str:
        return self._run(["-p", "-d", self._device, option])

    def open_session(self, aid: bytes) -> tuple[int, bytes]:
        output = self._mbimcli(
            f"--ms-set-uicc-open-channel=application-id={aid.hex().upper()},selectp2arg=4,"
            f"channel-group={CHANNEL_GROUP}"
        )
        channel = int(_field(output, "channel"), 0)
        if channel == 0:
            raise Refused(f"the modem opened no channel: {output.strip()[:120]}", code="ipa.modem_refused")
        return channel, _octets(output) + _status(output)

    def send(self, session: int, apdu: bytes) -> bytes:
        kind = "extended" if apdu[0] & 0x40 else "inter-industry"
        output = self._mbimcli(
            f"--ms-set-uicc-apdu=channel={session},secure-message=none,classbyte-type={kind},"
            f"command={apdu.hex().upper()}"
        )
        return _octets(output) + _status(output)

    def close_session(self, session: int) -> None:
        try:
            self._mbimcli(f"--ms-set-uicc-close-channel=channel={session},channel-group={CHANNEL_GROUP}")
        except Refused:
            return  # closed with a reset

    def send_basic(self, apdu: bytes) -> bytes | None:
        """TERMINAL CAPABILITY has its own command there; other APDUs do not reach the basic channel."""
        if apdu[:2] != b"\x80\xaa":
            return None
        try:
            self._mbimcli(f"--ms-set-uicc-terminal-capability={apdu[5:].hex().upper()}")
        except Refused:
            return None
        return b"\x90\x00"

    def reset(self) -> bytes:
        self._mbimcli("--ms-set-uicc-reset=passthrough-enable")
        self._mbimcli("--ms-set-uicc-reset=passthrough-disable")
        return bytes.fromhex(_field(self._mbimcli("--ms-query-uicc-atr"), "atr").replace(":", ""))

    def close(self) -> None:
        """Each command is a connection of its own."""


def open_mbim(device: str, run: Run = run_mbimcli) -> ModemChannels:
    return ModemChannels(MbimSessions(device, run))


def _field(output: str, name: str) -> str:
    found = re.search(_FIELD.format(name), output, re.IGNORECASE)
    if found is None:
        raise Malformed(
            f"mbimcli told no {name}",
            offset=0,
            code="ipa.modem_unreadable",
            party="modem",
            evidence=output[:200],
        )
    return found["value"]


def _octets(output: str) -> bytes:
    found = re.search(r"response\s*:\s*'?(?P<value>[0-9A-Fa-f:]*)", output, re.IGNORECASE)
    try:
        return bytes.fromhex(found["value"].replace(":", "")) if found else b""
    except ValueError:
        raise Malformed(
            "the response is no octets", offset=0, code="ipa.modem_unreadable", party="modem"
        ) from None


def _status(output: str) -> bytes:
    """The status word, little-endian in this interface (as lpac reads it)."""
    return (int(_field(output, "status"), 0) & 0xFFFF).to_bytes(2, "little")
