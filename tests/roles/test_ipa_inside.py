"""The IPAe: the same procedures inside our card, TLS over BIP, against a terminal model."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.answering import answered
from tests.card_lab import EIM, SMDP, world
from tests.roles.ipa_lab import IpaLab, entry, iccid

from keim.app.ipae import Ipae
from keim.der import PublicKeyInfo
from keim.io.tls import server_context
from keim.ipa.configuration import Configuration
from keim.ipa.memory import Memory
from keim.messages.download_trigger import ProfileDownloadData, ProfileDownloadTriggerRequest
from keim.messages.execution_status import Function
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo, TrustedPublicKeyDataTls
from keim.messages.profile import ProfileInfoListRequest
from keim.seams import CardChannel
from keim.sim.terminal import TERMINAL_PROFILE, TERMINAL_PROFILE_WITHOUT_STATE_CHANGE, Terminal
from keim.smdp.rows import ProfileState
from keim.wire import bip, dns, es9p_json, esipa_http
from keim.wire.http import HttpRequest, HttpResponse

DNS_SERVER = bytes((9, 9, 9, 9))
HOSTS = {EIM: bytes((10, 0, 0, 1)), SMDP: bytes((10, 0, 0, 2))}
LIST = Psmo(list_profile_info=ProfileInfoListRequest())
Answer = Callable[[HttpRequest], HttpResponse]


class DnsStream:
    def __init__(self) -> None:
        self.waiting = b""

    def send(self, octets: bytes) -> None:
        self.waiting = dns.answer(octets, HOSTS.get(dns.name_asked(octets)))

    def receive(self, *, waits: bool = False) -> bytes:
        waiting, self.waiting = self.waiting, b""
        return waiting

    def close(self) -> None:
        pass


class TlsServer:
    """One TLS connection of an HTTPS server, in memory."""

    def __init__(self, context: ssl.SSLContext, answer: Answer) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.answer = answer
        self.is_open = False
        self.buffer = b""

    def send(self, octets: bytes) -> None:
        self.incoming.write(octets)
        try:
            if not self.is_open:
                self.tls.do_handshake()
                self.is_open = True
            while True:
                self.buffer += self.tls.read(65_536)
                self._serve()
        except ssl.SSLWantReadError:
            pass

    def _serve(self) -> None:
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = int(headers["content-length"])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            response = self.answer(HttpRequest("POST", first.split(" ")[1], headers, rest[:length]))
            lines = [f"{name}: {value}" for name, value in response.headers.items()]
            text = "\r\n".join(
                [f"HTTP/1.1 {response.status} X", *lines, f"Content-Length: {len(response.body)}", "", ""]
            )
            self.tls.write(text.encode() + response.body)

    def receive(self, *, waits: bool = False) -> bytes:
        return self.outgoing.read()

    def close(self) -> None:
        pass


class Inside:
    """A card with its IPAe in charge, in a terminal."""

    def __init__(
        self, *, profile: bytes = TERMINAL_PROFILE, pinned: str = "eim-tls", **configuration: Any
    ) -> None:
        key = world().get(pinned).private_key.public_key()
        spki = PublicKeyInfo(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        own = entry(trusted_public_key_data_tls=TrustedPublicKeyDataTls(trusted_eim_pk_tls=spki))
        self.lab = IpaLab(eims=(own,), has_ipae=True)
        self.ipae = Ipae(
            Configuration(**configuration), dns_server=DNS_SERVER, server_roots=tuple(world().roots)
        )
        card = self.lab.lab.card
        card.applets = (self.ipae,)
        assert self.lab.lab.es10("BF4204" + "80020780")[-1] == 0
        self.headers: list[dict[str, str]] = []
        self.dialled: list[bytes] = []
        self.is_up = True
        self.terminal = Terminal(card, self.dial, profile=profile, has_network=lambda: self.is_up)
        self.terminal.start()

    def dial(self, protocol: int, address: bytes, port: int) -> DnsStream | TlsServer | None:
        self.dialled.append(address)
        if protocol == bip.UDP:
            return DnsStream() if address == DNS_SERVER else None
        if address == HOSTS[EIM]:
            return TlsServer(server_context(world().get("eim-tls"), for_devices=True), self.eim)
        return TlsServer(server_context(world().get("dp-tls"), for_devices=True), self.smdp)

    def eim(self, request: HttpRequest) -> HttpResponse:
        self.headers.append(dict(request.headers))
        message = esipa_http.read_request(request)
        assert isinstance(message, bytes)
        return esipa_http.write_answer(self.lab.eim(message) or b"")

    def smdp(self, request: HttpRequest) -> HttpResponse:
        function = Function(request.path.rpartition("/")[2])
        asked = es9p_json.read_request(function, request.body)
        return answered(es9p_json.write_reply(self.lab.smdp.reply(asked)))

    def memory(self) -> Memory:
        return Memory.decode(self.lab.lab.card.state.applets["ipae"])

    def close(self) -> None:
        assert self.lab.lab.card.last_error is None, self.lab.lab.card.last_error
        self.lab.close()


@pytest.fixture
def inside() -> Iterator[Inside]:
    made = Inside()
    yield made
    made.close()


def test_the_card_polls_its_eim_by_itself(inside: Inside) -> None:
    inside.lab.eim.package(LIST)
    inside.terminal.run(10)
    assert list(inside.lab.eim.executed) == [1]
    assert inside.lab.pending() == []
    assert inside.headers[0]["user-agent"] == "gsma-rsp-ipae"
    assert inside.lab.eim.polls[0].rplmn == bytes.fromhex("62F220")
    assert inside.dialled == [DNS_SERVER, HOSTS[EIM]]  # one name, one connection
    assert inside.terminal.channels == {}
    assert [cycle.packages for cycle in inside.ipae.cycles] == [1]
    assert {bip.OPEN_CHANNEL, bip.SEND_DATA, bip.RECEIVE_DATA, bip.CLOSE_CHANNEL} <= set(
        inside.terminal.commands
    )


def test_the_next_cycle_comes_with_its_timer(inside: Inside) -> None:
    inside.lab.eim.package(LIST)
    inside.terminal.run(10)
    polls = len(inside.lab.eim.polls)
    inside.terminal.run(59)
    assert len(inside.lab.eim.polls) == polls + 1  # a minute after work
    inside.terminal.run(86_000)
    assert len(inside.lab.eim.polls) == polls + 1  # and a day when there was none
    inside.terminal.run(1_000)
    assert len(inside.lab.eim.polls) == polls + 2


@pytest.mark.parametrize(
    "profile", [TERMINAL_PROFILE, TERMINAL_PROFILE_WITHOUT_STATE_CHANGE], ids=["state change", "reset"]
)
def test_a_switch_survives_the_refresh_of_any_kind(profile: bytes) -> None:
    inside = Inside(profile=profile)
    inside.lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    inside.terminal.run(60)
    assert inside.lab.enabled() == iccid(2)
    assert list(inside.lab.eim.executed) == [1]
    assert inside.lab.pending() == []
    assert bip.REFRESH in inside.terminal.commands
    assert inside.terminal.resets == (1 if profile == TERMINAL_PROFILE else 2)
    inside.close()


def test_an_enable_that_leads_nowhere_is_rolled_back_from_inside() -> None:
    inside = Inside()
    inside.lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    inside.terminal.has_network = lambda: inside.lab.enabled() == iccid(1)
    inside.terminal.run(3_000)
    assert inside.lab.enabled() == iccid(1)
    signed = inside.lab.eim.executed[1].euicc_package_result_signed
    assert signed is not None
    assert signed.euicc_package_result_data_signed.euicc_result[-1].rollback_result == 0
    inside.close()


@pytest.mark.parametrize("way", ["direct", "indirect"])
def test_a_profile_is_downloaded_into_the_card_by_the_card(way: str) -> None:
    feature = (
        IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION
        if way == "direct"
        else IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
    )
    inside = Inside(features=feature)
    number, matching_id = inside.lab.smdp.order()
    data = ProfileDownloadData(activation_code=f"1${SMDP}${matching_id}")
    inside.lab.eim.trigger(
        ProfileDownloadTriggerRequest(profile_download_data=data, eim_transaction_id=b"\x01")
    )
    inside.terminal.run(100)
    assert inside.lab.smdp.profile(number).state is ProfileState.INSTALLED
    assert inside.lab.eim.results[-1].profile_download_trigger_result is not None
    assert inside.lab.pending() == []
    assert (HOSTS[SMDP] in inside.dialled) is (way == "direct")
    inside.close()


def test_a_stranger_with_another_key_gets_nothing() -> None:
    inside = Inside(pinned="dp-tls")
    inside.lab.eim.package(LIST)
    inside.terminal.run(60)
    assert inside.lab.eim.seen == []
    assert inside.memory().note(EIM).failures == 1
    inside.close()


def test_without_network_the_card_tries_again_later(inside: Inside) -> None:
    inside.is_up = False
    inside.lab.eim.package(LIST)
    inside.terminal.run(100)
    assert inside.lab.eim.seen == []
    inside.is_up = True
    inside.terminal.run(100)
    assert list(inside.lab.eim.executed) == [1]


class PulledOut(Exception):
    """The card loses its power in the terminal."""


class CutCard:
    """Our card until its n-th command."""

    def __init__(self, card: CardChannel, cut: int) -> None:
        self.card, self.left = card, cut

    def transmit(self, apdu: bytes) -> bytes:
        self.left -= 1
        if self.left == 0:
            raise PulledOut
        return self.card.transmit(apdu)

    def reset(self) -> bytes:
        return self.card.reset()

    def close(self) -> None:
        self.card.close()


@pytest.mark.parametrize("cut", range(1, 90, 4))
def test_power_lost_at_any_command_loses_no_result(cut: int) -> None:
    inside = Inside()
    inside.lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    card = inside.lab.lab.card
    inside.terminal.card = CutCard(card, cut)
    with suppress(PulledOut):
        inside.terminal.run(100)
    card.power_off()
    inside.terminal.start()
    inside.terminal.run(200_000)
    assert list(inside.lab.eim.executed) == [1]
    assert inside.lab.pending() == []
    assert inside.lab.enabled() == iccid(2)
    inside.close()


def test_an_ipad_takes_the_role_back(inside: Inside) -> None:
    inside.lab.cycle()  # its TERMINAL CAPABILITY says IPAd
    seen = len(inside.lab.eim.seen)
    inside.terminal.start()
    inside.terminal.run(1_000)
    assert len(inside.lab.eim.seen) == seen
