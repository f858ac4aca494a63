"""The IPAe: the procedures of keim.ipa inside the software eUICC, its network the terminal's BIP.

An applet behind the card's seam. What the procedures ask of the card goes straight to the ISD-R; what they
ask of the network becomes OPEN CHANNEL, SEND DATA, RECEIVE DATA; waiting is TIMER MANAGEMENT; the clock and
the serving network are PROVIDE LOCAL INFORMATION. TLS runs in the card, over the channel (`ipae_link`).
A reset ends what is under way; the memory in the card lets the next start go on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from keim.app.ipae_link import AWAIT, Conversation, HttpsOverBip
from keim.errors import KeimError, Malformed
from keim.euicc.applets import (
    AppletEvent,
    CardReset,
    CardStarted,
    EnvelopeReceived,
    InsideCard,
    TerminalResponded,
)
from keim.euicc.status import StatusError
from keim.ipa.configuration import Configuration
from keim.ipa.context import Ipa
from keim.ipa.cycle import Cycle, pause_after, run_cycle
from keim.ipa.effects import (
    AwaitNetwork,
    CallEim,
    CallServer,
    CloseConnections,
    Effect,
    Now,
    Procedure,
    Remember,
    ResetCard,
    ServingNetwork,
    Tell,
    Transmit,
    UseConnectivity,
    Wait,
)
from keim.ipa.events import Event
from keim.ipa.memory import EMPTY, Memory
from keim.pki import Certificate
from keim.wire import bip

CYCLE_TIMER, WAIT_TIMER = 1, 2
FIRST_CYCLE_S = 5
LONGEST_TIMER_S = 86_399
UNKNOWN_MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
"""When the terminal has no clock: certificates' dates are then not checked."""


class Ipae:
    """The applet. One cycle at a time, started by its timer."""

    name = "ipae"

    def __init__(
        self,
        configuration: Configuration,
        *,
        dns_server: bytes,
        eim_roots: tuple[Certificate, ...] | None = None,
        server_roots: tuple[Certificate, ...] | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        # The terminal must hear of each switch by a REFRESH, also of those that nobody but the card knows of.
        self._configuration = msgspec.structs.replace(configuration, has_refresh_flag=True)
        self._dns_server = dns_server
        self._eim_roots, self._server_roots = eim_roots, server_roots
        self._on_event = on_event
        self._card: InsideCard | None = None
        self._conversation: Conversation | None = None
        self._awaits_event = False
        self.cycles: list[Cycle] = []

    # the seam

    def on_event(self, event: AppletEvent, card: InsideCard) -> Sequence[bytes]:
        self._card = card
        match event:
            case CardReset():
                self._conversation = None
                self._awaits_event = False
                return ()
            case CardStarted():
                if not card.is_ipae_active:
                    return ()
                events = (bip.EVENT_LOCATION, bip.EVENT_DATA_AVAILABLE, bip.EVENT_CHANNEL_STATUS)
                timer = bip.start_timer(CYCLE_TIMER, FIRST_CYCLE_S)
                return (bip.set_up_event_list(*events), timer)
            case EnvelopeReceived(data=data):
                return self._on_envelope(data, card)
            case TerminalResponded(response=response):
                if self._conversation is None or self._awaits_event:
                    return ()
                return self._advance(response)
        return ()

    def _on_envelope(self, data: bytes, card: InsideCard) -> Sequence[bytes]:
        if self._conversation is not None:
            return self._advance(data) if self._awaits_event else ()
        if data[:1] == bytes((bip.TIMER_EXPIRATION,)) and card.is_ipae_active:
            self._conversation = self._cycle()
            return self._advance(None)
        return ()

    def _advance(self, answer: bytes | None) -> Sequence[bytes]:
        """Runs the conversation to its next command; AWAIT means that an event must come first."""
        assert self._conversation is not None
        self._awaits_event = False
        try:
            command = next(self._conversation) if answer is None else self._conversation.send(answer)
        except StopIteration:
            self._conversation = None
            return ()
        if command == AWAIT:
            self._awaits_event = True
            return ()
        return (command,)

    # one cycle, as a conversation with the terminal

    def _cycle(self) -> Conversation:
        pause_s = self._configuration.timers.poll_busy_s
        network = HttpsOverBip(self._dns_server, self._eim_roots, self._server_roots, self._inside.random)
        with suppress(KeimError):  # the card keeps what is owed; the next timer tries again
            pause_s = yield from self._drive(self._procedure(), network)
        yield from network.close()
        seconds = int(min(max(pause_s, 1), LONGEST_TIMER_S))
        yield bip.start_timer(CYCLE_TIMER, seconds)

    def _procedure(self) -> Procedure[float]:
        remembered = self._inside.remembered()
        ipa = Ipa(self._configuration, Memory.decode(remembered) if remembered else EMPTY)
        cycle = yield from run_cycle(ipa)
        self.cycles.append(cycle)
        return (yield from pause_after(ipa, cycle))

    @property
    def _inside(self) -> InsideCard:
        assert self._card is not None
        return self._card

    def _drive(self, procedure: Procedure[float], network: HttpsOverBip) -> Generator[bytes, bytes, float]:
        """The driver: effects that need the terminal are conversations of their own."""
        channel = InsideChannel(lambda: self._inside)
        try:
            effect = next(procedure)
            while True:
                try:
                    answer = yield from self._perform(effect, network, channel)
                except KeimError as failure:
                    effect = procedure.throw(failure)
                else:
                    effect = procedure.send(answer)
        except StopIteration as end:
            return float(end.value)
        finally:
            procedure.close()

    def _perform(
        self, effect: Effect[object], network: HttpsOverBip, channel: InsideChannel
    ) -> Generator[bytes, bytes, object]:
        match effect:
            case Transmit(apdu):
                return channel.transmit(apdu)
            case CallEim(peer, request, timeout_s):
                moment = yield from self._now()
                return (yield from network.call_eim(peer, request, moment, timeout_s))
            case CallServer(address, server_request, timeout_s):
                moment = yield from self._now()
                return (yield from network.call_server(address, server_request, moment, timeout_s))
            case ResetCard() | CloseConnections():
                yield from network.close()
                if isinstance(effect, ResetCard):
                    # The card has queued its REFRESH; it comes before this timer. A terminal that resets
                    # the card ends this run, and the next one goes on from the memory.
                    yield from self._wait(1)
                return b""
            case AwaitNetwork(timeout_s):
                return (yield from self._await_network(timeout_s))
            case ServingNetwork():
                return (yield from self._plmn())
            case Wait(seconds):
                yield from self._wait(seconds)
            case Now():
                return (yield from self._now())
            case Remember(memory):
                self._inside.remember(memory.encode())
            case Tell(event):
                self._on_event(event)
            case UseConnectivity():
                pass  # the bearer is the terminal's: OPEN CHANNEL takes its default
            case _:
                raise TypeError(f"no way to perform {effect!r}")
        return None

    def _wait(self, seconds: float) -> Generator[bytes, bytes, None]:
        left = int(seconds)
        while left > 0:
            part = min(left, LONGEST_TIMER_S)
            yield bip.start_timer(WAIT_TIMER, part)
            left -= part
            while True:
                event = yield AWAIT
                is_timer = event[:1] == bytes((bip.TIMER_EXPIRATION,))
                if is_timer and bip.inside(event, event[0]).get(bip.TIMER_ID) == bytes((WAIT_TIMER,)):
                    break

    def _now(self) -> Generator[bytes, bytes, datetime]:
        """The terminal's clock: seven swapped octets, the last one quarters of an hour from UTC."""
        found = bip.read_response((yield bip.provide(bip.DATE_AND_TIME))).members.get(bip.DATE_TIME, b"")
        if len(found) < 7:
            return UNKNOWN_MOMENT
        year, month, day, hour, minute, second = (bip.unswapped(octet) for octet in found[:6])
        zone = 0 if found[6] == 0xFF else bip.unswapped(found[6] & 0xF7) * (-15 if found[6] & 0x08 else 15)
        try:
            local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return UNKNOWN_MOMENT
        return local - timedelta(minutes=zone)

    def _plmn(self) -> Generator[bytes, bytes, bytes | None]:
        answer = bip.read_response((yield bip.provide(bip.LOCATION_INFORMATION)))
        location = answer.members.get(bip.LOCATION, b"")
        return location[:3] if answer.is_performed and len(location) >= 3 else None

    def _await_network(self, timeout_s: float) -> Generator[bytes, bytes, bool]:
        """Service is when the terminal knows its location; looked for every ten seconds."""
        waited = 0.0
        while (yield from self._plmn()) is None:
            if waited + 10 > timeout_s:
                return False
            yield from self._wait(10)
            waited += 10
        return True


class InsideChannel:
    """What `keim.ipa.card` sends as APDUs, given to the ISD-R as whole objects; there is no channel."""

    def __init__(self, inside: Callable[[], InsideCard]) -> None:
        self._inside = inside
        self._chain = b""

    def transmit(self, apdu: bytes) -> bytes:
        if apdu[1] != 0xE2:
            return b"\x90\x00"
        self._chain = (b"" if apdu[3] == 0 else self._chain) + apdu[5:]
        if apdu[2] != 0x91:
            return b"\x90\x00"
        try:
            return self._inside().es10(self._chain) + b"\x90\x00"
        except StatusError as refusal:
            return refusal.status.to_bytes(2, "big")
        except Malformed:
            return b"\x6a\x80"
