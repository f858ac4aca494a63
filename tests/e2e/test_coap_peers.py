"""Our CoAP and DTLS against libcoap, GnuTLS and OpenSSL, on loopback, both roles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.coap_peers import (
    LIMIT_S,
    NAME,
    PSK,
    Program,
    Served,
    digest,
    free_port,
    papers,
    program,
    run,
)
from tests.shared import needs_system

from keim.io.datagram import DatagramSocket
from keim.io.entropy import OsEntropy
from keim.wire.coap.events import Request
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import Data, Down, Up
from keim.wire.dtls.hello import RAW_KEY, X509
from keim.wire.dtls.suites import SUITE_NAMED
from keim.wire.dtls.trust import PinnedKeys

pytestmark = needs_system("coap-peers")

GCM = "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
CCM_8 = "ECDHE_ECDSA_WITH_AES_128_CCM_8"
BODY = bytes(range(256)) * 9
RAW_PRIORITY = "NORMAL:-CTYPE-ALL:+CTYPE-RAWPK:-VERS-ALL:+VERS-DTLS1.2"


def psk_of(identity: bytes) -> bytes | None:
    return PSK.key if identity == PSK.identity else None


def engine(**more: Any) -> DtlsEndpoint:
    return DtlsEndpoint(DtlsConfig(**more), entropy=OsEntropy())


def server_engine(**more: Any) -> DtlsEndpoint:
    return engine(**{"credentials": (papers().credential("server"),), **more})


class Echo:
    """A DTLS server without CoAP: what comes goes back in upper case."""

    def __init__(self, endpoint: DtlsEndpoint) -> None:
        self.endpoint = endpoint
        self.ups: list[Up] = []
        self.socket = DatagramSocket(endpoint, self._on_event)

    def _on_event(self, event: Any, now: float) -> None:
        if isinstance(event, Up):
            self.ups.append(event)
        elif isinstance(event, Data):
            self.endpoint.send(event.association, event.data.upper(), now)


# ---- their clients, our server


@pytest.mark.parametrize("flavour", ["openssl", "gnutls"])
@pytest.mark.parametrize("proof", ["certificate", "mutual", "psk"])
def test_libcoap_posts_in_blocks_to_our_server(flavour: str, proof: str, tmp_path: Path) -> None:
    files = papers().write(tmp_path)
    body, answer = tmp_path / "request", tmp_path / "answer"
    body.write_bytes(BODY)
    more: dict[str, Any] = {}
    arguments = ["-C", files["ca"]]
    if proof == "mutual":
        more = {"client_proof": "required", "trust": papers().anchors}
        arguments += ["-c", files["device.crt"], "-j", files["device.key"]]
    elif proof == "psk":
        more = {"find_psk": psk_of, "credentials": ()}
        arguments = ["-k", PSK.key.decode(), "-u", PSK.identity.decode()]

    async def test() -> None:
        node = Served(server_engine(**more))
        _, port = node.open("127.0.0.1")
        code, output = await run(
            f"coap-client-{flavour}", "-m", "post", "-t", "42", "-f", str(body), "-o", str(answer), "-b",
            "512", "-B", "10", *arguments, f"coaps://127.0.0.1:{port}/gsma/rsp2/asn1",
        )  # fmt: skip
        await node.close()
        assert (code, answer.exists()) == (0, True), output
        assert answer.read_bytes() == digest(BODY)
        assert [request.body for request in node.requests] == [BODY]
        kind = {"certificate": "nobody", "mutual": "certificate", "psk": "psk"}[proof]
        assert [up.identity.kind for up in node.ups] == [kind]

    asyncio.run(test())


def test_libcoap_posts_with_raw_keys_and_loses_datagrams(tmp_path: Path) -> None:
    files = papers().write(tmp_path)
    body, answer = tmp_path / "request", tmp_path / "answer"
    body.write_bytes(BODY)
    device = papers().credential("device", is_raw=True)

    async def test() -> None:
        node = Served(
            server_engine(
                credentials=(papers().credential("server", is_raw=True),),
                client_proof="required",
                trust=PinnedKeys([device.spki]),
                timeout_s=0.3,
            )
        )
        _, port = node.open("127.0.0.1")
        code, output = await run(
            "coap-client-gnutls", "-m", "post", "-t", "42", "-f", str(body), "-o", str(answer), "-l", "3,7",
            "-B", "15", "-n", "-M", files["device.pair"], f"coaps://127.0.0.1:{port}/gsma/rsp2/asn1",
        )  # fmt: skip
        await node.close()
        assert (code, answer.exists()) == (0, True), output
        assert answer.read_bytes() == digest(BODY)
        assert [up.identity.kind for up in node.ups] == ["raw_key"]

    asyncio.run(test())


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"])
@pytest.mark.parametrize("resumption", ["ids", "tickets"])
def test_openssl_s_client_connects_and_resumes(cipher: str, resumption: Any, tmp_path: Path) -> None:
    files = papers().write(tmp_path)
    session = str(tmp_path / "session")

    async def test() -> None:
        echo = Echo(server_engine(resumption=resumption))
        _, port = echo.socket.open("127.0.0.1")
        try:
            for more in (("-sess_out", session), ("-sess_in", session)):
                async with program(
                    "openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-cipher", cipher,
                    "-CAfile", files["ca"], "-verify_return_error", "-servername", NAME,
                    "-verify_hostname", NAME, *more,
                ) as peer:  # fmt: skip
                    await peer.wait_for(b"Verify return code: 0 (ok)")
                    peer.write(b"hello peer\n")
                    await peer.wait_for(b"HELLO PEER")
                    peer.write(b"Q\n")
                    await asyncio.wait_for(peer.process.wait(), LIMIT_S)
                    peer.output += await peer.process.stdout.read()  # type: ignore[union-attr]  # it was opened
                    assert (b"Reused, " if more[0] == "-sess_in" else b"New, ") in peer.output
            assert [up.is_resumed for up in echo.ups] == [False, True]
        finally:
            echo.socket.close()

    asyncio.run(test())


@pytest.mark.parametrize("is_raw", [False, True])
def test_gnutls_cli_connects(is_raw: bool, tmp_path: Path) -> None:
    files = papers().write(tmp_path)
    device = papers().credential("device", is_raw=True)

    async def test() -> None:
        more = {"client_proof": "required", "trust": PinnedKeys([device.spki])} if is_raw else {}
        echo = Echo(server_engine(**more))
        _, port = echo.socket.open("127.0.0.1")
        arguments = ["--x509cafile", files["ca"], "--verify-hostname", NAME, "--sni-hostname", NAME]
        if is_raw:
            arguments = [
                "--rawpkfile", files["device.pub"], "--rawpkkeyfile", files["device.key"], "--insecure",
                "--priority", RAW_PRIORITY,
            ]  # fmt: skip
        try:
            async with program("gnutls-cli", "--udp", *arguments, "-p", str(port), "127.0.0.1") as peer:
                await peer.wait_for(b"Simple Client Mode")
                peer.write(b"hello peer\n")
                await peer.wait_for(b"HELLO PEER")
            [up] = echo.ups
            assert up.identity.kind == ("raw_key" if is_raw else "nobody")
        finally:
            echo.socket.close()

    asyncio.run(test())


# ---- their servers, our client


class Client:
    """A DTLS client without CoAP."""

    def __init__(self, endpoint: DtlsEndpoint) -> None:
        self.endpoint = endpoint
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.socket = DatagramSocket(endpoint, lambda event, _now: self.events.put_nowait(event))

    async def until(self, kind: type) -> Any:
        async with asyncio.timeout(LIMIT_S):
            while True:
                event = await self.events.get()
                if isinstance(event, kind):
                    return event
                assert not isinstance(event, Down), event.reason

    async def connect(self, port: int, **target: Any) -> Any:
        target = {"server_name": NAME, **target}
        association = self.endpoint.connect(("127.0.0.1", port), self.socket.clock(), Target(**target))
        self.socket.flush()
        await self.until(Up)
        return association

    async def say(self, association: Any, data: bytes) -> bytes:
        self.endpoint.send(association, data, self.socket.clock())
        self.socket.flush()
        return bytes((await self.until(Data)).data)


@asynccontextmanager
async def client(**config: Any) -> AsyncIterator[Client]:
    made = Client(engine(**{"trust": papers().anchors, "cid_octets": 0, "timeout_s": 0.3, **config}))
    made.socket.open("127.0.0.1")
    try:
        yield made
    finally:
        made.socket.close()


async def both_ways(ours: Client, association: Any, peer: Program) -> None:
    """s_server prints what comes and sends what it reads."""
    peer.output = b""
    ours.endpoint.send(association, b"hello peer\n", ours.socket.clock())
    ours.socket.flush()
    await peer.wait_for(b"hello peer")
    peer.write(b"hello device\n")
    assert (await ours.until(Data)).data == b"hello device\n"
    peer.output = b""


@pytest.mark.parametrize("suite", [GCM, CCM_8])
@pytest.mark.parametrize("resumption", ["ids", "tickets"])
@pytest.mark.parametrize("is_mutual", [False, True])
def test_our_client_talks_to_openssl_s_server(
    suite: str, resumption: Any, is_mutual: bool, tmp_path: Path
) -> None:
    files = papers().write(tmp_path)
    port = free_port()

    async def test() -> None:
        more = ["-Verify", "1", "-verify_return_error", "-CAfile", files["ca"]] if is_mutual else []
        more += ["-no_ticket"] if resumption == "ids" else []
        async with (
            program(
                "openssl", "s_server", "-dtls1_2", "-listen", "-accept", f"127.0.0.1:{port}", "-cert",
                files["server.crt"], "-key", files["server.key"], "-cipher", "ALL:@SECLEVEL=0", *more,
            ) as peer,
            client(
                suites=(SUITE_NAMED[suite],),
                resumption=resumption,
                credentials=(papers().credential("device"),),
            ) as ours,
        ):  # fmt: skip
            await peer.wait_for(b"ACCEPT")
            first = await ours.connect(port)
            await both_ways(ours, first, peer)
            assert first.session is not None
            ours.endpoint.close(first, ours.socket.clock())
            ours.socket.flush()
            await peer.wait_for(b"DONE")
            again = await ours.connect(port, session=first.session)
            assert again.is_resumed
            await both_ways(ours, again, peer)

    asyncio.run(test())


@pytest.mark.parametrize("is_raw", [False, True])
def test_our_client_talks_to_gnutls_serv(is_raw: bool, tmp_path: Path) -> None:
    files = papers().write(tmp_path)
    port = free_port()
    server = papers().credential("server", is_raw=True)

    async def test() -> None:
        arguments = ["--x509keyfile", files["server.key"], "--x509certfile", files["server.crt"]]
        config: dict[str, Any] = {"certificate_types": (X509,)}
        if is_raw:
            arguments = [
                "--rawpkkeyfile", files["server.key"], "--rawpkfile", files["server.pub"],
                "--priority", RAW_PRIORITY,
            ]  # fmt: skip
            config = {
                "certificate_types": (RAW_KEY,),
                "trust": PinnedKeys([server.spki]),
                "credentials": (papers().credential("device", is_raw=True),),
            }
        async with (
            program("gnutls-serv", "--udp", "--echo", "-a", "-p", str(port), *arguments) as peer,
            client(**config) as ours,
        ):
            await peer.wait_for(b"UDP Echo Server listening")
            association = await ours.connect(port)
            assert association.identity.kind == ("raw_key" if is_raw else "certificate")
            assert await ours.say(association, b"hello\n") == b"hello\n"

    asyncio.run(test())


@pytest.mark.parametrize("flavour", ["openssl", "gnutls"])
@pytest.mark.parametrize("proof", ["certificate", "psk"])
def test_our_client_puts_and_gets_at_libcoap_in_blocks(flavour: str, proof: str, tmp_path: Path) -> None:
    files = papers().write(tmp_path)
    port = free_port()

    async def test() -> None:
        arguments = ["-c", files["server.crt"], "-j", files["server.key"], "-C", files["ca"], "-n"]
        if proof == "psk":
            arguments = ["-k", PSK.key.decode(), "-h", ""]
        lower = engine(
            trust=papers().anchors if proof == "certificate" else None, cid_octets=0, timeout_s=0.3
        )
        node = Served(lower)
        node.open("127.0.0.1")
        async with program(
            f"coap-server-{flavour}", "-A", "127.0.0.1", "-p", str(port), "-d", "5", "-v", "7", *arguments
        ) as peer:
            await peer.wait_for(b"created DTLS endpoint")
            try:
                target = Target(server_name=NAME, psk=PSK if proof == "psk" else None)
                association = await asyncio.wait_for(node.connect(("127.0.0.1", port + 1), target), LIMIT_S)
                put = Request(method=3, path=("keim",), content_format=42, body=BODY)
                assert (await node.ask(association, put)).code in (0x41, 0x44)
                got = await node.ask(association, Request(method=1, path=("keim",)))
                assert (got.code, got.body) == (0x45, BODY)
            finally:
                await node.close()

    asyncio.run(test())
