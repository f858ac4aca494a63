"""All associations of one socket: datagrams in, datagrams out, servers and clients alike. Pure.

Nothing is kept of a peer before its cookie was right; what is malformed, forged or unknown is dropped in
silence; half-open handshakes and associations are bounded, the least recently heard go first.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from keim.errors import Malformed, Refused
from keim.seams import Entropy
from keim.wire.dtls import faults
from keim.wire.dtls.association import SKIP, Association, restored, snapshot
from keim.wire.dtls.client import ClientHandshake
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.cookies import Cookies
from keim.wire.dtls.credentials import Credential
from keim.wire.dtls.events import Address, Data, DatagramEvent, Down, Foreign, Moved, SnapshotDue, Up
from keim.wire.dtls.faults import HandshakeFailed
from keim.wire.dtls.fragments import (
    CLIENT_HELLO,
    FINISHED,
    HELLO_VERIFY_REQUEST,
    Fragment,
    HandshakeMessage,
    read_fragments,
)
from keim.wire.dtls.handshake import EARLY_RECORDS, Handshake
from keim.wire.dtls.hello import ClientHello, random_without_cookie, read_client_hello
from keim.wire.dtls.octets import vector
from keim.wire.dtls.records import (
    ALERT,
    APPLICATION_DATA,
    HANDSHAKE,
    VERSION_1_0,
    WITH_CID,
    Record,
    clear_record,
    split,
)
from keim.wire.dtls.resumption_rate import ResumptionRate
from keim.wire.dtls.server import ServerHandshake, is_same_hello, resumable
from keim.wire.dtls.sessions import SessionMemory, SessionStore, TicketKeys
from keim.wire.dtls.timers import Timers

SNAPSHOT_RECORDS = 1 << 15
"""Records sent since the last snapshot after which a new one is due: half of what a restart skips."""
_NO_TARGET = Target()


class DtlsEndpoint:
    def __init__(
        self,
        config: DtlsConfig,
        *,
        entropy: Entropy,
        sessions: SessionStore | None = None,
        tickets: TicketKeys | None = None,
    ) -> None:
        self.config = config
        self.entropy = entropy
        self.timers = Timers()
        self.sessions: SessionStore = SessionMemory() if sessions is None else sessions
        self.tickets = TicketKeys(entropy) if tickets is None else tickets
        self._cookies = Cookies(entropy)
        self._rate = ResumptionRate(config.cookieless_resumptions_per_s)
        self._outbox: list[tuple[bytes, Address]] = []
        self._events: list[DatagramEvent] = []
        self._half_open: OrderedDict[Address, Handshake] = OrderedDict()
        self._by_cid: dict[bytes, Association] = {}
        self._by_address: dict[Address, Association] = {}
        """Those without connection id: the others are found by theirs, wherever they speak from."""
        self._live: OrderedDict[Association, None] = OrderedDict()
        self._warm: dict[Association, None] = {}
        self.changed: set[Association] | None = None
        """Associations with new snapshots to be taken, for an owner that sets and empties it."""
        self._cid_octets = config.cid_octets or 0
        self._just_moved: Association | None = None
        """By the datagram that is being read: its further records prove no more than its first."""

    # ---- five verbs

    def receive(self, datagram: bytes, address: Address, now: float) -> list[DatagramEvent]:
        self._just_moved = None
        for record in split(datagram, self._cid_octets):
            if record.type == WITH_CID:
                self._receive_with_cid(record, datagram, address, now)
            elif record.epoch == 0:
                self._receive_clear(record, address, now)
            elif record.epoch == 1:
                self._receive_by_address(record, address, now, len(datagram))
        return self._take_events()

    def send(self, association: Association, data: bytes, now: float) -> None:
        """Silently lost, like any datagram, where the association is not up or may not send that much yet."""
        if association not in self._live:
            return
        if len(data) > self.room(association):
            raise Refused("the peer takes no records of this size", code="dtls.record_too_large")
        self._send(association, APPLICATION_DATA, data)

    def room(self, association: Association) -> int:
        return association.largest_fragment - (9 if association.peer_cid else 0)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        outbox = self._outbox
        if outbox:
            self._outbox = []
        return outbox

    def next_deadline(self) -> float | None:
        return self.timers.next_deadline()

    def handle_timer(self, now: float) -> list[DatagramEvent]:
        self.timers.run(now)
        return self._take_events()

    # ---- for owners

    def connect(self, address: Address, now: float, target: Target = _NO_TARGET) -> Association:
        """Begins a handshake as client; `Up` or `Down` tells how it ended."""
        association = Association(address, is_client=True)
        before = self._half_open.get(address)
        if before is not None:
            self._end_handshake(before)
        handshake = ClientHandshake(self, association, target, now)
        association.handshake = handshake
        self._half_open[address] = handshake
        handshake.start()
        return association

    def is_up(self, association: Association) -> bool:
        return association in self._live

    def close(self, association: Association, now: float) -> list[DatagramEvent]:
        if association in self._live:
            self._send(association, ALERT, bytes((1, faults.CLOSE_NOTIFY)))
            self._forget(association, "closed")
        elif association.handshake is not None:
            self._end_handshake(association.handshake)
            self._events.append(Down(association, "closed"))
        return self._take_events()

    def prove_with(self, credential: Credential) -> None:
        """From now on; what is up and what is being made stays as it is."""
        self.config = msgspec.structs.replace(self.config, credentials=(credential,))

    def snapshots(self) -> list[bytes]:
        """Of all associations, for a restart. Secret."""
        return [snapshot(association) for association in self._live]

    def snapshot(self, association: Association) -> bytes | None:
        """Of one, if it is still up. Whoever takes it stores it: it is what a restart skips from."""
        return snapshot(association) if association in self._live else None

    def restore(self, data: bytes, now: float) -> Association:
        """Takes an association of a snapshot in; the one that had its connection id or address goes.

        It sends nothing before a new snapshot was taken: two restarts from one would use a nonce twice.
        """
        association = restored(data, now)
        if association.own_cid and len(association.own_cid) != self._cid_octets:
            raise Refused("its connection id has another length than ours", code="dtls.bad_snapshot")
        old = (
            self._by_cid.get(association.own_cid)
            if association.own_cid
            else self._by_address.get(association.address)
        )
        if old is not None:
            self._forget(old, "replaced")
        if association.own_cid:
            self._by_cid[association.own_cid] = association
        else:
            self._by_address[association.address] = association
        self._live[association] = None
        if self.changed is not None:
            self.changed.add(association)
        return association

    @property
    def half_open(self) -> int:
        return len(self._half_open)

    @property
    def associations(self) -> int:
        return len(self._live)

    # ---- protected records

    def _receive_with_cid(self, record: Record, datagram: bytes, address: Address, now: float) -> None:
        association = self._by_cid.get(record.cid)
        if association is None:
            worker = self.config.worker
            if worker is not None and record.cid:
                owner = record.cid[0] % self.config.workers
                if owner != worker:
                    self._events.append(Foreign(owner, datagram, address))
            return
        self._receive_protected(association, record, address, now, len(datagram))

    def _receive_by_address(self, record: Record, address: Address, now: float, octets: int) -> None:
        handshake = self._half_open.get(address)
        if handshake is not None and not handshake.association.own_cid:
            association = handshake.association
            old = self._by_address.get(address)
            if not association.has_keys:
                if old is not None:
                    self._receive_protected(old, record, address, now, octets)
                if len(handshake.early) < EARLY_RECORDS:
                    handshake.early.append(record)
                return
            if self._receive_protected(association, record, address, now, octets):
                return
        known = self._by_address.get(address)
        if known is not None:
            self._receive_protected(known, record, address, now, octets)

    def _receive_protected(
        self, association: Association, record: Record, address: Address, now: float, octets: int
    ) -> bool:
        handshake = association.handshake
        if handshake is not None:
            if address != association.address:
                return False
            if not association.has_keys:
                if len(handshake.early) < EARLY_RECORDS:
                    handshake.early.append(record)
                return True
            if record.type == APPLICATION_DATA and not handshake.is_done and not association.own_cid:
                if len(handshake.early) < EARLY_RECORDS:
                    handshake.early.append(record)
                return True
        newest_before = association.window_top
        opened = association.open(record)
        if opened is None:
            if association.is_worn_out:
                self._forget(association, "dtls.worn_out")
            return False
        kind, content = opened
        if handshake is not None:
            self._receive_in_handshake(handshake, kind, content, now)
            return True
        association.heard = now
        if association in self._live:
            self._live.move_to_end(association)
            self._keep_warm(association)
            if self.changed is not None:
                self.changed.add(association)
        if address != association.address:
            self._peer_speaks_from(association, address, record.sequence > newest_before, now, octets)
        elif association.quota is not None and association is not self._just_moved:
            association.quota = None  # it has spoken from there twice
        self._receive_content(association, kind, content, now)
        return True

    def _receive_in_handshake(self, handshake: Handshake, kind: int, content: bytes, now: float) -> None:
        if kind == HANDSHAKE:
            self._guarded(handshake, content, 1, now)
        elif kind == ALERT and len(content) == 2 and content[0] == 2:
            self._fail(handshake, _alert_name(content[1]), now)
        elif kind == APPLICATION_DATA and len(handshake.early_data) < EARLY_RECORDS:
            handshake.early_data.append(content)

    def _receive_content(self, association: Association, kind: int, content: bytes, now: float) -> None:
        if kind == APPLICATION_DATA:
            if association.tail is not None:
                association.tail.cut_tail()
            self._events.append(Data(association, content))
        elif kind == HANDSHAKE:
            if association.tail is not None and content[:1] == bytes((FINISHED,)):
                association.tail.peer_repeats(now)
            elif content and content[0] in (0, CLIENT_HELLO):
                self._send(association, ALERT, bytes((1, faults.NO_RENEGOTIATION)))
        elif kind == ALERT and len(content) == 2:
            if content[1] == faults.CLOSE_NOTIFY:
                self._send(association, ALERT, bytes((1, faults.CLOSE_NOTIFY)))
                self._forget(association, "closed")
            elif content[0] == 2:
                self._forget(association, _alert_name(content[1]))

    def _peer_speaks_from(
        self, association: Association, address: Address, is_newest: bool, now: float, octets: int
    ) -> None:
        """RFC 9146 §6: only the newest record moves an association, not too often, and not for a flood."""
        if not is_newest or not association.own_cid:
            return
        if now - association.moved_at < self.config.move_interval_s:
            return
        old, association.address = association.address, address
        association.moved_at = now
        association.quota = 3 * octets
        self._just_moved = association
        self._events.append(Moved(association, old, address))

    # ---- records in the clear

    def _receive_clear(self, record: Record, address: Address, now: float) -> None:
        if record.type == HANDSHAKE:
            if record.fragment[:1] == b"\x01":
                self._client_hello(record, address, now)
                return
            handshake = self._half_open.get(address)
            if handshake is not None:
                self._guarded(handshake, record.fragment, 0, now)
        elif record.type == ALERT and len(record.fragment) == 2 and record.fragment[0] == 2:
            handshake = self._half_open.get(address)
            if handshake is not None:  # towards a live association it may be forged, and is nothing
                self._fail(handshake, _alert_name(record.fragment[1]), now)

    def _guarded(self, handshake: Handshake, payload: bytes, epoch: int, now: float) -> None:
        try:
            handshake.receive(payload, epoch, now)
        except HandshakeFailed as failure:
            handshake.send_alert(failure.alert)
            self._fail(handshake, failure.code, now)
            return
        if handshake.association.has_keys and handshake.early and not handshake.is_done:
            early, handshake.early = handshake.early, []
            for record in early:
                self._receive_protected(handshake.association, record, handshake.association.address, now, 0)

    def _client_hello(self, record: Record, address: Address, now: float) -> None:
        try:
            fragment = next(iter(read_fragments(record.fragment)))
            if not fragment.is_whole or not self._can_serve:
                return  # to put its pieces together would need memory before the cookie
            before = self._half_open.get(address)
            if before is None and not self.config.cookieless_resumptions_per_s:
                random = random_without_cookie(fragment.data)
                if random is not None:
                    self._ask_for_cookie(record, fragment, random, address, now)
                    return
            offer = read_client_hello(fragment.data)
        except Malformed:
            return
        if isinstance(before, ClientHandshake):
            return
        if isinstance(before, ServerHandshake) and is_same_hello(before.offer, offer):
            before.peer_repeats(now)
            return
        if not self._cookies.is_good(offer.cookie, address, offer.random, now) and not self._may_skip_cookie(
            offer, address, now
        ):
            self._ask_for_cookie(record, fragment, offer.random, address, now)
            return
        if self.config.admits is not None and not self.config.admits(address, now):
            return  # it comes again by itself
        if before is not None:
            self._end_handshake(before)
        self._accept(record, fragment, offer, address, now)

    @property
    def _can_serve(self) -> bool:
        return bool(self.config.credentials) or self.config.find_psk is not None

    def _may_skip_cookie(self, offer: ClientHello, address: Address, now: float) -> bool:
        return (
            not offer.cookie
            and self.config.cookieless_resumptions_per_s > 0
            and resumable(self, offer, now) is not None
            and self._rate.allows(address, now)
        )

    def _ask_for_cookie(
        self, record: Record, fragment: Fragment, random: bytes, address: Address, now: float
    ) -> None:
        cookie = self._cookies.make(address, random, now)
        message = HandshakeMessage(
            HELLO_VERIFY_REQUEST, fragment.message_sequence, VERSION_1_0 + vector(1, cookie)
        )
        self.post(clear_record(HANDSHAKE, record.sequence, message.encode()), address)

    def _accept(
        self, record: Record, fragment: Fragment, offer: ClientHello, address: Address, now: float
    ) -> None:
        association = Association(address, is_client=False)
        handshake = ServerHandshake(self, association, offer, now)
        association.handshake = handshake
        self._half_open[address] = handshake
        while len(self._half_open) > self.config.half_open:
            self._end_handshake(next(iter(self._half_open.values())))
        message = HandshakeMessage(CLIENT_HELLO, fragment.message_sequence, fragment.data)
        try:
            handshake.start(message, record.sequence)
        except HandshakeFailed as failure:
            handshake.send_alert(failure.alert)
            self._fail(handshake, failure.code, now)
        except Malformed:
            handshake.send_alert(faults.DECODE_ERROR)
            self._fail(handshake, "dtls.malformed", now)

    # ---- for handshakes

    def post(self, datagram: bytes, address: Address) -> None:
        self._outbox.append((datagram, address))

    def take_cid(self, association: Association) -> bytes:
        """A new connection id for records towards us; empty where we need none."""
        octets = self._cid_octets
        while octets:
            cid = self.entropy.bytes(octets)
            if self.config.worker is not None:
                first = cid[0] - cid[0] % self.config.workers + self.config.worker
                cid = bytes((first if first < 256 else self.config.worker,)) + cid[1:]
            if cid not in self._by_cid:
                association.own_cid = cid
                self._by_cid[cid] = association
                return cid
        return b""

    def drop_cid(self, association: Association) -> None:
        if association.own_cid:
            self._by_cid.pop(association.own_cid, None)
            association.own_cid = b""

    def finish(self, handshake: Handshake, *, keeps_tail: bool) -> None:
        association = handshake.association
        address = association.address
        now = handshake.now
        if self._half_open.get(address) is handshake:
            del self._half_open[address]
        association.handshake = None
        association.identity = handshake.identity
        association.heard = now
        if keeps_tail:
            association.tail = handshake
            handshake.keep_tail(self.config.tail_s)
        old = self._by_address.get(address)
        if old is not None:
            self._forget(old, "replaced")  # not before the new one has proved itself (RFC 6347 §4.2.8)
        if not association.own_cid:
            self._by_address[address] = association
        self._live[association] = None
        self._keep_warm(association)
        if self.changed is not None:
            self.changed.add(association)
        while len(self._live) > self.config.associations:
            self._forget(next(iter(self._live)), "evicted")
        assert association.suite is not None
        self._events.append(
            Up(association, association.identity, association.suite.name, association.is_resumed)
        )
        for data in handshake.early_data:
            self._events.append(Data(association, data))
        for record in handshake.take_early():
            self._receive_protected(association, record, address, now, 0)

    def give_up(self, handshake: Handshake, reason: str, now: float) -> None:
        self._fail(handshake, reason, now)

    # ---- ends

    def _fail(self, handshake: Handshake, reason: str, now: float) -> None:
        self._end_handshake(handshake)
        if handshake.association.is_client:
            self._events.append(Down(handshake.association, reason))

    def _end_handshake(self, handshake: Handshake) -> None:
        handshake.stop_timer()
        handshake.is_done = True
        address = handshake.association.address
        if self._half_open.get(address) is handshake:
            del self._half_open[address]
        self.drop_cid(handshake.association)
        handshake.association.handshake = None

    def _forget(self, association: Association, reason: str) -> None:
        if self._live.pop(association, False) is False:
            return
        self._warm.pop(association, None)
        if self.changed is not None:
            self.changed.discard(association)
        association.cool()
        if association.tail is not None:
            association.tail.cut_tail()
        if association.own_cid:
            self._by_cid.pop(association.own_cid, None)
        if self._by_address.get(association.address) is association:
            del self._by_address[association.address]
        self._events.append(Down(association, reason))

    def _keep_warm(self, association: Association) -> None:
        if association in self._warm:
            return
        self._warm[association] = None
        if len(self._warm) > self.config.warm_associations:
            coldest = next(iter(self._warm))
            del self._warm[coldest]
            coldest.cool()

    def _send(self, association: Association, kind: int, content: bytes) -> None:
        sent = association.write_sequence - association.snapshot_at
        if sent >= SKIP and association.snapshot_at >= 0:
            self._forget(association, "dtls.unsaved")
            return
        if self.changed is not None:
            self.changed.add(association)
        self._keep_warm(association)
        record = association.seal(kind, content)
        quota = association.quota
        if quota is not None:
            if len(record) > quota:
                return
            association.quota = quota - len(record)
        self._outbox.append((record, association.address))
        if sent == SNAPSHOT_RECORDS and association.snapshot_at >= 0:
            self._events.append(SnapshotDue(association))

    def _take_events(self) -> list[DatagramEvent]:
        events = self._events
        if events:
            self._events = []
        return events


def _alert_name(number: int) -> str:
    return f"alert {faults.ALERT_NAMES.get(number, str(number))}"
