"""`keim bench coap`: what DTLS handshakes and CoAP requests cost a server, beside bare OpenSSL and aiocoap.

Server CPU only: both ends run in this process, and only the server's verbs are timed. What is compared takes
turns in short rounds and medians count. Standalone: `PYTHONPATH=src python -m benchmarks.coap [--json]`.
"""

from __future__ import annotations

import asyncio
import gc
import json as json_module
import os
import resource
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from benchmarks.coap_cycles import cycles
from benchmarks.coap_floods import floods
from benchmarks.timing import sized
from keim.io.dtls_openssl import OpenSslConfig, OpenSslDatagrams
from keim.io.entropy import OsEntropy
from keim.wire.coap.endpoint import CoapEndpoint
from keim.wire.coap.events import Request, Requested, Response
from keim.wire.coap.message import Message, decode, encode
from keim.wire.coap.stack import CoapStack
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.credentials import PreSharedKey, credential_of
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.suites import SUITE_NAMED
from keim.wire.dtls.trust import PinnedKeys

ROUNDS: Final = sized(7, 1)
HANDSHAKES: Final = sized(20, 2)
REQUESTS: Final = sized(500, 5)
ASSOCIATIONS: Final = sized(6000, 20)
SERVER: Final = ("192.0.2.1", 5684)
NOW: Final = 1_800_000_000.0
ASK: Final = Request(path=("gsma", "rsp2", "asn1"), content_format=42, body=bytes(300))
ANSWER: Final = Response(0x44, bytes(400), 42)
IP_AND_UDP: Final = 28
PSK: Final = PreSharedKey(b"device", b"a shared key of 16")

TARGETS: Final = {
    "full / bare": 6.5,
    "resumed / full": 0.45,
    "CoAP request / aiocoap": 0.25,
    "octets per live association": 3072.0,
}


def certificate_of(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "eim.example.com")])
    start = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=30))
    return builder.sign(key, hashes.SHA256())


KEY: Final = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE: Final = certificate_of(KEY)
CREDENTIAL: Final = credential_of(KEY, [CERTIFICATE.public_bytes(Encoding.DER)])
TRUST: Final = PinnedKeys([CREDENTIAL.spki])


def bare() -> float:
    """Key generation, agreement and signature, as a server's full handshake needs them; nothing else."""
    peer = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    start = process_time()
    for _ in range(HANDSHAKES):
        private = ec.generate_private_key(ec.SECP256R1())
        private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
        KEY.sign(bytes(133), ec.ECDSA(hashes.SHA256()))
    return (process_time() - start) / HANDSHAKES


class Timed:
    """Joins a server and one client after another; adds up what the server's verbs take."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.seconds = 0.0
        self.number = 0

    def handshake(self, client: Any, target: Target) -> Any:
        self.number += 1
        address = (f"198.51.{self.number >> 16 & 255}.{self.number >> 8 & 255}", 1000 + self.number % 60000)
        association = client.connect(SERVER, NOW, target)
        while not client.is_up(association) or (waiting := client.datagrams_to_send()):
            for data, _ in waiting if client.is_up(association) else client.datagrams_to_send():
                start = process_time()
                self.server.receive(data, address, NOW)
                answers = self.server.datagrams_to_send()
                self.seconds += process_time() - start
                for answer, _ in answers:
                    client.receive(answer, SERVER, NOW)
        return association


def handshakes(server: Any, client: Callable[[], Any], target: Target, count: int = HANDSHAKES) -> float:
    timed = Timed(server)
    for _ in range(count):
        timed.handshake(client(), target)
    return timed.seconds / count


def native_client(**more: Any) -> DtlsEndpoint:
    return DtlsEndpoint(DtlsConfig(trust=TRUST, cid_octets=0, **more), entropy=OsEntropy())


def native_server(**more: Any) -> DtlsEndpoint:
    return DtlsEndpoint(DtlsConfig(credentials=(CREDENTIAL,), **more), entropy=OsEntropy())


def measure_handshakes() -> dict[str, float]:
    """Median microseconds of server CPU."""
    server, skipping = native_server(), native_server(cookieless_resumptions_per_s=1_000_000)
    mutual = native_server(client_proof="required", trust=TRUST)
    psk = DtlsEndpoint(DtlsConfig(find_psk=lambda _: PSK.key), entropy=OsEntropy())
    library = OpenSslDatagrams(OpenSslConfig(key=KEY, chain=(CERTIFICATE,)))
    library_client = OpenSslDatagrams(OpenSslConfig(trust=TRUST))
    plain = Target()
    session = Timed(server).handshake(native_client(), plain).session
    other = Timed(skipping).handshake(native_client(), plain).session
    library_session = Timed(library).handshake(library_client, plain).session
    ccm_8 = (SUITE_NAMED["ECDHE_ECDSA_WITH_AES_128_CCM_8"],)
    rows: dict[str, Callable[[], float]] = {
        "bare key generation, agreement, signature": bare,
        "full": lambda: handshakes(server, native_client, plain),
        "full, CCM_8": lambda: handshakes(server, lambda: native_client(suites=ccm_8), plain),
        "full, mutual": lambda: handshakes(mutual, lambda: native_client(credentials=(CREDENTIAL,)), plain),
        "resumed": lambda: handshakes(server, native_client, Target(session=session)),
        "resumed, without cookie": lambda: handshakes(skipping, native_client, Target(session=other)),
        "shared key": lambda: handshakes(
            psk, lambda: DtlsEndpoint(DtlsConfig(cid_octets=0), entropy=OsEntropy()), Target(psk=PSK)
        ),
        "full, pyOpenSSL": lambda: handshakes(library, lambda: library_client, plain),
        "resumed, pyOpenSSL": lambda: handshakes(
            library, lambda: library_client, Target(session=library_session)
        ),
        "CoAP request": coap_request,
        "CoAP request, aiocoap": lambda: asyncio.run(aiocoap_request()),
        "ESipa exchange on a live association": esipa_exchange,
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, row in rows.items():
            times[name].append(row() * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


# ---- CoAP


def request_octets(count: int) -> list[bytes]:
    options = (*((11, segment.encode()) for segment in ASK.path), (12, b"\x2a"))
    return [encode(Message(0, 2, number & 0xFFFF, b"\x01\x02", options, ASK.body)) for number in range(count)]


def coap_request(count: int = REQUESTS) -> float:
    endpoint = CoapEndpoint(entropy=OsEntropy())
    requests = request_octets(count)
    start = process_time()
    for octets in requests:
        [event] = endpoint.receive(octets, "peer", NOW)
        assert isinstance(event, Requested)
        endpoint.respond(event, ANSWER, NOW)
        endpoint.datagrams_to_send()
    return (process_time() - start) / count


async def aiocoap_request(count: int = sized(200, 5)) -> float:
    """aiocoap with a transport of lists: its message layer, its resource tree, no sockets."""
    import aiocoap
    import aiocoap.resource
    from aiocoap.interfaces import EndpointAddress
    from aiocoap.transports.generic_udp import GenericMessageInterface

    class Answerer(aiocoap.resource.Resource):  # type: ignore[misc]  # aiocoap carries no types
        async def render_post(self, request: Any) -> Any:
            return aiocoap.Message(code=aiocoap.CHANGED, payload=ANSWER.body, content_format=42)

    answers: asyncio.Queue[bytes] = asyncio.Queue()

    class Peer(EndpointAddress):  # type: ignore[misc]  # as above
        hostinfo = hostinfo_local = "peer"
        uri_base = uri_base_local = "coap://peer"
        scheme = "coap"
        is_multicast = is_multicast_locally = False
        maximum_block_size_exp = 6
        blockwise_key = "peer"
        authenticated_claims: tuple[str, ...] = ()

        def send(self, data: bytes) -> None:
            answers.put_nowait(data)

    interfaces: list[Any] = []

    async def make(manager: Any) -> Any:
        interface = GenericMessageInterface(manager, context.log, asyncio.get_running_loop())
        interfaces.append(interface)
        return interface

    site = aiocoap.resource.Site()
    site.add_resource(list(ASK.path), Answerer())
    context = aiocoap.Context(loop=asyncio.get_running_loop(), serversite=site)
    await context._append_tokenmanaged_messagemanaged_transport(make)
    peer, requests = Peer(), request_octets(count)
    start = process_time()
    for octets in requests:
        interfaces[0]._received_datagram(peer, octets)
        answer = await answers.get()
    seconds = (process_time() - start) / count
    assert decode(answer).payload == ANSWER.body
    for pending in asyncio.all_tasks() - {asyncio.current_task()}:
        pending.cancel()
    return seconds


def live_pair() -> tuple[CoapStack[DtlsEndpoint], CoapStack[DtlsEndpoint], Any]:
    server = CoapStack(native_server(), CoapEndpoint(entropy=OsEntropy()))
    client = CoapStack(native_client(), CoapEndpoint(entropy=OsEntropy()))
    association = Timed(server.lower).handshake(client.lower, Target())
    return server, client, association


def esipa_exchange(count: int = sized(200, 5)) -> float:
    server, client, association = live_pair()
    address = next(iter(server.lower._live)).address
    seconds = 0.0
    for turn in range(count):
        client.ask(association, ASK, NOW + turn)
        [(data, _)] = client.datagrams_to_send()
        start = process_time()
        [event] = server.receive(data, address, NOW + turn)
        assert isinstance(event, Requested)
        server.respond(event, ANSWER, NOW + turn)
        [(answer, _)] = server.datagrams_to_send()
        seconds += process_time() - start
        client.receive(answer, SERVER, NOW + turn)
    return seconds / count


def exchange_octets() -> dict[str, int]:
    """IPv4 octets of one exchange (300 up, 400 down) on a live association with connection id."""
    server, client, association = live_pair()
    client.ask(association, ASK, NOW)
    [(up, _)] = client.datagrams_to_send()
    [event] = server.receive(up, next(iter(server.lower._live)).address, NOW)
    assert isinstance(event, Requested)
    server.respond(event, ANSWER, NOW)
    [(down, _)] = server.datagrams_to_send()
    return {"up": len(up) + IP_AND_UDP, "down": len(down) + IP_AND_UDP}


# ---- memory


def resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def association_octets(count: int = ASSOCIATIONS) -> float:
    """Growth of the resident set per association that is up and has carried a request, session included."""
    server = CoapStack(native_server(), CoapEndpoint(entropy=OsEntropy()))
    timed = Timed(server.lower)

    def more(number: int) -> None:
        for turn in range(number):
            if turn % 50 == 0:
                gc.collect()  # the clients' garbage is not the server's memory
            client = CoapStack(native_client(), CoapEndpoint(entropy=OsEntropy()))
            association = timed.handshake(client.lower, Target())
            client.ask(association, ASK, NOW)
            [(data, _)] = client.datagrams_to_send()
            [event] = server.receive(data, next(reversed(server.lower._live)).address, NOW)
            assert isinstance(event, Requested)
            server.respond(event, ANSWER, NOW)
            server.datagrams_to_send()
        server.handle_timer(NOW + 300)

    more(count // 4)  # more than are kept warm: what the warm ones take is a constant
    gc.collect()
    before = resident()
    more(count)
    gc.collect()
    assert server.lower.associations == count + count // 4
    return (resident() - before) / count


def run(json: bool) -> int:
    memory = association_octets()
    times = measure_handshakes()
    octets = exchange_octets()
    flooded = floods(CREDENTIAL, TRUST)
    whole = {f"ESipa cycle with the eIM, {how}": values for how, values in cycles().items()}
    bare_us = times["bare key generation, agreement, signature"]
    ratios = {
        "full / bare": times["full"] / bare_us,
        "full, pyOpenSSL / bare": times["full, pyOpenSSL"] / bare_us,
        "resumed / full": times["resumed"] / times["full"],
        "CoAP request / aiocoap": times["CoAP request"] / times["CoAP request, aiocoap"],
        "octets per live association": memory,
    }
    if json:
        found = {"microseconds": times, "ratios": ratios, "targets": TARGETS, "octets": octets} | {
            "floods": flooded,
            "cycles": whole,
        }
        print(json_module.dumps(found))
        return 0
    print("server CPU, median of 7 rounds               us       per second")
    for name, value in times.items():
        print(f"{name:<42}{value:>8.1f}{1e6 / value:>13.0f}")
    print("\n                                          measured   target")
    for name, value in ratios.items():
        target = f"{TARGETS[name]:>9g}" if name in TARGETS else "        -"
        print(f"{name:<42}{value:>8.2f}{target}")
    total = sum(octets.values())
    print(
        "\none exchange on a live association with connection id, IPv4 octets of datagrams as made: "
        f"{octets['up']} up, {octets['down']} down, {total} in 2 packets"
    )
    for name, values in (whole | flooded).items():
        print(f"\n{name}: " + ", ".join(f"{what} {value:.4g}" for what, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(run("--json" in sys.argv))
