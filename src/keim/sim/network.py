"""Mobile networks of a simulation: subscribers, their keys, coverage, and the modem that attaches a card.

A card that is powered up in a modem is asked for its IMSI and authenticated with 3GPP AKA by the network that
the IMSI names: only a profile that is truly installed and enabled gets service.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final, NamedTuple

from keim.crypto.aka import autn, xor
from keim.crypto.milenage import Milenage
from keim.euicc.faults import PowerLost
from keim.ids import Plmn
from keim.seams import CardChannel, Entropy
from keim.sim.plan import Subscriber
from keim.sim.radio import Bearer

SELECT_USIM: Final = bytes.fromhex("00A4040407A0000000871002")
SELECT_IMSI: Final = bytes.fromhex("00A4000C026F07")
READ_IMSI: Final = bytes.fromhex("00B0000009")
AMF: Final = bytes.fromhex("8000")
RESYNC_AMF: Final = bytes(2)
SUCCESS, RESYNCHRONISE = 0xDB, 0xDC
DONE: Final = (b"\x90", b"\x91")
"""First octet of the status: 91 says as well that a proactive command waits."""
IND_BITS: Final = 5


class Challenge(NamedTuple):
    rand: bytes
    token: bytes
    expected: bytes
    """RES of the right card."""


class HomeNetworks:
    """The AuCs of all networks, and where there is coverage. They forget sequence numbers at every restart
    and learn them from the cards again, as TS 33.102 clause 6.3.5 has it.
    """

    def __init__(self, subscribers: Iterable[Subscriber], entropy: Entropy) -> None:
        self._subscribers = {subscriber.imsi: subscriber for subscriber in subscribers}
        self._entropy = entropy
        self._sequences: dict[str, int] = {}
        self.uncovered: set[str] = set()
        """IMSIs, or their first digits, that find no network where they are."""

    def challenge(self, imsi: str) -> Challenge | None:
        """None for an unknown subscriber."""
        algorithm = self._algorithm(imsi)
        if algorithm is None:
            return None
        rand = self._entropy.bytes(16)
        sequence = self._sequences[imsi] = self._sequences.get(imsi, 0) + 1
        token = autn(algorithm, rand, (sequence << IND_BITS).to_bytes(6, "big"), AMF)
        return Challenge(rand, token, algorithm.f2345(rand).res)

    def resynchronise(self, imsi: str, rand: bytes, auts: bytes) -> bool:
        """Goes on from where the card stands, if the card itself says so."""
        algorithm = self._algorithm(imsi)
        if algorithm is None or len(auts) != 14:
            return False
        told = xor(auts[:6], algorithm.f5_star(rand))
        if not hmac.compare_digest(algorithm.f1_star(rand, told, RESYNC_AMF), auts[6:]):
            return False
        self._sequences[imsi] = int.from_bytes(told, "big") >> IND_BITS
        return True

    def _algorithm(self, imsi: str) -> Milenage | None:
        subscriber = self._subscribers.get(imsi)
        return None if subscriber is None else Milenage(subscriber.ki, subscriber.opc)

    def covers(self, imsi: str) -> bool:
        return bool(imsi) and not imsi.startswith(tuple(self.uncovered))


class WentDark(Exception):
    """The device lost its power. No failure that any program of it could see: it is gone as well."""


class Modem:
    """A card channel that brings the device into its network at every power-up."""

    def __init__(self, card: CardChannel, networks: HomeNetworks, bearer: Bearer) -> None:
        self._card, self._networks, self.bearer = card, networks, bearer
        self.imsi = ""
        self.is_authenticated = False

    @property
    def plmn(self) -> bytes | None:
        """Where it is registered."""
        return Plmn(self.imsi[:5]).octets if self.bearer.is_covered else None

    def transmit(self, apdu: bytes) -> bytes:
        try:
            return self._card.transmit(apdu)
        except PowerLost:
            self.bearer.is_covered = False
            raise WentDark from None

    def reset(self) -> bytes:
        self.bearer.is_covered = False
        answer = self._card.reset()
        self.register()
        return answer

    def register(self) -> None:
        """With the profile that is enabled now: every connection of the one before is gone."""
        self.bearer.is_covered = False
        self.imsi = self._read_imsi()
        self.is_authenticated = self._authenticate()
        self.attach()

    def attach(self) -> bool:
        """Looks for the network once more."""
        is_covered = self.is_authenticated and self._networks.covers(self.imsi)
        if is_covered is not self.bearer.is_covered:
            self.bearer.is_covered = is_covered
        return is_covered

    def close(self) -> None:
        self.bearer.is_covered = False
        self._card.close()

    def _read_imsi(self) -> str:
        if self._card.transmit(SELECT_USIM)[-2:-1] not in (*DONE, b"\x61"):
            return ""  # no profile is enabled
        self._card.transmit(SELECT_IMSI)
        read = self._card.transmit(READ_IMSI)
        if read[-2:-1] not in DONE:
            return ""
        digits = "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in read[1 : 1 + read[0]])
        return digits[1:].rstrip("f")

    def _authenticate(self) -> bool:
        """Twice at most: the first run may only tell the network where the card stands."""
        for _ in range(2):
            challenge = self._networks.challenge(self.imsi)
            if challenge is None:
                return False
            answer = self._send_challenge(challenge)
            if answer[:1] == bytes((SUCCESS,)):
                return hmac.compare_digest(answer[2 : 2 + answer[1]], challenge.expected)
            if answer[:1] != bytes((RESYNCHRONISE,)):
                return False
            if not self._networks.resynchronise(self.imsi, challenge.rand, answer[2 : 2 + answer[1]]):
                return False
        return False

    def _send_challenge(self, challenge: Challenge) -> bytes:
        data = bytes((16,)) + challenge.rand + bytes((16,)) + challenge.token
        answer = self._card.transmit(bytes((0x00, 0x88, 0x00, 0x81, len(data))) + data)
        if answer[-2:-1] == b"\x61":
            answer = self._card.transmit(bytes((0x00, 0xC0, 0x00, 0x00, answer[-1])))
        return answer
