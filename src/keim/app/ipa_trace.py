"""What `keim ipa run --trace` prints: every ES10, ESipa and ES9+ message, decoded, with octets and time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from keim.der import RELAY, V1_0, Message, to_plain
from keim.errors import KeimError
from keim.ipa.effects import CallEim, CallServer, Effect, ResetCard, Transmit, Wait
from keim.messages import authentication, es10a, es10b, info, notification, package, profile
from keim.messages.esipa import EsipaMessageFromEimToIpa, EsipaMessageFromIpaToEim

M = TypeVar("M", bound=Message)
LAST_BLOCK = 0x91
ES10_TYPES: dict[int, tuple[type[Message] | None, type[Message] | None]] = {
    0xBF20: (info.GetEuiccInfo1Request, info.EUICCInfo1),
    0xBF21: (authentication.PrepareDownloadRequest, authentication.PrepareDownloadResponse),
    0xBF22: (info.GetEuiccInfo2Request, info.EUICCInfo2),
    0xBF2B: (es10b.RetrieveNotificationsListRequest, es10b.RetrieveNotificationsListResponse),
    0xBF2D: (profile.ProfileInfoListRequest, profile.ProfileInfoListResponse),
    0xBF2E: (info.GetEuiccChallengeRequest, info.GetEuiccChallengeResponse),
    0xBF30: (notification.NotificationSentRequest, notification.NotificationSentResponse),
    0xBF37: (None, notification.ProfileInstallationResult),
    0xBF38: (authentication.AuthenticateServerRequest, authentication.AuthenticateServerResponse),
    0xBF3C: (es10a.EuiccConfiguredAddressesRequest, es10a.EuiccConfiguredAddressesResponse),
    0xBF3E: (info.GetEuiccDataRequest, info.GetEuiccDataResponse),
    0xBF41: (authentication.CancelSessionRequest, authentication.CancelSessionResponse),
    0xBF43: (profile.GetRatRequest, profile.GetRatResponse),
    0xBF51: (package.EuiccPackageRequest, package.EuiccPackageResult),
    0xBF55: (es10b.GetEimConfigurationDataRequest, es10b.GetEimConfigurationDataResponse),
    0xBF56: (es10b.GetCertsRequest, es10b.GetCertsResponse),
    0xBF57: (es10b.AddInitialEimRequest, es10b.AddInitialEimResponse),
    0xBF58: (es10b.ProfileRollbackRequest, es10b.ProfileRollbackResponse),
    0xBF5A: (es10b.ImmediateEnableRequest, es10b.ImmediateEnableResponse),
    0xBF5B: (es10b.EnableEmergencyProfileRequest, es10b.EnableEmergencyProfileResponse),
    0xBF5C: (es10b.DisableEmergencyProfileRequest, es10b.DisableEmergencyProfileResponse),
    0xBF5D: (es10b.ExecuteFallbackMechanismRequest, es10b.ExecuteFallbackMechanismResponse),
    0xBF5E: (es10b.ReturnFromFallbackRequest, es10b.ReturnFromFallbackResponse),
    0xBF5F: (es10b.GetConnectivityParametersRequest, es10b.GetConnectivityParametersResponse),
    0xBF64: (es10b.EuiccMemoryResetRequest, es10b.EuiccMemoryResetResponse),
}


class Trace:
    """Observes effects and writes one line per message; the last line of all counts octets and time."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._chain = b""
        self._answer = b""
        self.card_octets = 0
        self.network_octets = 0
        self.card_s = 0.0
        self.network_s = 0.0

    def __call__(self, effect: Effect[object], outcome: object, seconds: float) -> None:
        match effect:
            case Transmit(apdu):
                self.card_s += seconds
                self._apdu(apdu, outcome, seconds)
            case ResetCard():
                self._line("card", "reset", "", seconds)
            case CallEim(peer, request, _):
                self.network_s += seconds
                self._message(f"-> {peer.eim_id}", request, EsipaMessageFromIpaToEim, None)
                self._outcome(f"<- {peer.eim_id}", outcome, EsipaMessageFromEimToIpa, seconds)
            case CallServer(address, server_request, _):
                self.network_s += seconds
                octets = server_request.encode()
                self.network_octets += len(octets)
                self._line(
                    f"-> {address}", type(server_request).__name__, _shown(server_request), None, octets
                )
                if isinstance(outcome, Message):
                    octets = outcome.encode()
                    self.network_octets += len(octets)
                    self._line(f"<- {address}", type(outcome).__name__, _shown(outcome), seconds, octets)
                else:
                    self._line(f"<- {address}", "", str(outcome), seconds)
            case Wait(pause_s):
                self._line("wait", f"{pause_s:g} s", "", None)

    def summary(self) -> str:
        return (
            f"card: {self.card_octets} octets in {self.card_s * 1000:.0f} ms; "
            f"network: {self.network_octets} octets in {self.network_s * 1000:.0f} ms"
        )

    def _apdu(self, apdu: bytes, outcome: object, seconds: float) -> None:
        """Chains of STORE DATA and GET RESPONSE are shown as the one object that they carry."""
        answer = outcome if isinstance(outcome, bytes) else b""
        self.card_octets += len(apdu) + len(answer)
        if isinstance(outcome, KeimError):
            self._line("card", "failed", str(outcome), seconds)
            return
        instruction = apdu[1]
        if instruction == 0xE2:
            self._chain = (b"" if apdu[3] == 0 else self._chain) + apdu[5:]
            if apdu[2] != LAST_BLOCK:
                return
            self._message("-> card", self._chain, _type_of(self._chain, 0), None)
            self._answer = b""
        elif instruction != 0xC0:
            self._line("card", apdu.hex().upper(), answer.hex().upper(), seconds, apdu + answer)
            return
        self._answer += answer[:-2]
        if answer[-2:-1] != b"\x61":
            if self._answer:
                self._message("<- card", self._answer, _type_of(self._answer, 1), seconds)
            else:
                self._line("<- card", answer[-2:].hex().upper(), "", seconds)

    def _outcome(self, arrow: str, outcome: object, kind: type[M], seconds: float) -> None:
        if isinstance(outcome, bytes) and outcome:
            self._message(arrow, outcome, kind, seconds)
        else:
            self._line(arrow, "empty" if outcome == b"" else "failed", str(outcome or ""), seconds)

    def _message(self, arrow: str, octets: bytes, kind: type[Message] | None, seconds: float | None) -> None:
        if "card" not in arrow:
            self.network_octets += len(octets)
        shown, name = octets.hex().upper(), "octets"
        if kind is not None:
            try:
                value = kind.decode(octets, RELAY | V1_0)
            except KeimError as failure:
                name = f"unreadable: {failure}"
            else:
                shown, name = _shown(value), getattr(value, "kind", None) or type(value).__name__
                if kind not in (EsipaMessageFromEimToIpa, EsipaMessageFromIpaToEim):
                    name = type(value).__name__
        self._line(arrow, name, shown, seconds, octets)

    def _line(self, arrow: str, name: str, shown: str, seconds: float | None, octets: bytes = b"") -> None:
        size = f"{len(octets):>6} B" if octets else " " * 8
        took = f"{seconds * 1000:>8.1f} ms" if seconds is not None else " " * 11
        self._write(f"{size} {took}  {arrow:<24} {name}  {shown}".rstrip())


def _type_of(octets: bytes, direction: int) -> type[Message] | None:
    kinds = ES10_TYPES.get(int.from_bytes(octets[:2], "big"))
    return None if kinds is None else kinds[direction]


def _shown(value: Message) -> str:
    plain: Any = to_plain(value)
    text = json.dumps(plain, ensure_ascii=False, default=str)
    return text if len(text) <= 2000 else f"{text[:2000]}... ({len(text)} characters)"
