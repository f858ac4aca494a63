"""Anything at all may be sent to an eIM: it answers or refuses, and believes nothing that is not proved."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.card_lab import EID, NOW, SMDP, iccid, signer
from tests.roles.eim_lab import EimLab
from tests.roles.test_eim_results import LIST, poll

from keim.eim import compose
from keim.eim.rows import Device, Knowledge
from keim.errors import Malformed
from keim.io.answerer import Head
from keim.io.esipa_door import EsipaDoor
from keim.io.esipa_server import EsipaServer
from keim.ipa.configuration import Configuration
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
from keim.pki.cache import ChainCache
from keim.pki.world import WorldPlan, create_world
from keim.wire import esipa_json
from keim.wire.esipa import EsipaFunction

ASN1 = [(b"content-type", b"application/x-gsma-rsp-asn1")]
JSON = [(b"content-type", b"application/json")]


@pytest.fixture(scope="module")
def recorded() -> list[bytes]:
    """What a device really sends: a switch, a list, data, an indirect download with compact forms."""
    features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION | IpaFeatures.MINIMIZE_ESIPA_BYTES
    lab = EimLab(configuration=Configuration(features=features, compact_eims=frozenset({"eim.example.com"})))
    try:
        lab.ask_for(compose.data_request_of(compose.EVERYTHING))
        lab.order(LIST)
        lab.order(Psmo(enable=EnablePsmo(iccid=iccid(2))))
        _, matching_id = lab.smdp.order()
        lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        lab.cycle()
        return [request for request, _ in lab.world.esipa]
    finally:
        lab.close()


@pytest.fixture(scope="module")
def lab() -> Iterator[EimLab]:
    """With a package and a picture to lose, under another CI: nothing that was recorded is a proof."""
    made = EimLab()
    made.order(LIST)
    made.cycle()
    made.order(Psmo(enable=EnablePsmo(iccid=iccid(2))))
    assert made.answer(poll()) is not None
    made.service.eim = structs.replace(
        made.eim, trust=create_world(WorldPlan(), now=NOW).trust, chains=ChainCache()
    )
    device = made.device()
    other = structs.replace(device, point=signer("dp-auth").public_point, version=device.version + 1)
    made.run(made.store.change(other, []))
    yield made
    made.close()


def ask(lab: EimLab, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    """One request through the answerer; its status."""
    server = EsipaServer(EsipaDoor(lab.service.answer))
    head = Head("POST", path, "", headers, ("192.0.2.1", 7))
    refusal = server.refuse(head)
    return (refusal or lab.run(server.respond(head, body))).status


def believed(lab: EimLab) -> tuple[Any, ...]:
    """What only a proof may change."""
    device, knowledge = lab.device(), lab.knowledge()
    assert isinstance(device, Device)
    assert isinstance(knowledge, Knowledge)
    states = [(one.order, one.state.value, one.outcome) for one in lab.run(lab.store.operations(eid=EID))]
    return knowledge.profiles, knowledge.eims, device.token, device.point, device.counter, states[0]


def mutated(octets: bytes, luck: random.Random) -> bytes:
    changed = bytearray(octets)
    for _ in range(luck.choice((1, 1, 2, 5))):
        match luck.randrange(5):
            case 0:
                changed[luck.randrange(len(changed))] ^= 1 << luck.randrange(8)
            case 1:
                changed[luck.randrange(len(changed))] = luck.randrange(256)
            case 2:
                start = luck.randrange(len(changed))
                del changed[start : start + luck.randrange(1, 9)]
            case 3:
                start = luck.randrange(len(changed))
                changed[start:start] = luck.randbytes(luck.randrange(1, 9))
            case _:
                start = luck.randrange(len(changed))
                changed[start:start] = changed[start : start + luck.randrange(1, 40)]
        if not changed:
            return b"\0"
    return bytes(changed)


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=150)
def test_mutated_messages_are_answered_or_refused_and_change_nothing(
    lab: EimLab, recorded: list[bytes], seed: int
) -> None:
    luck = random.Random(seed)
    before = believed(lab)
    for _ in range(4):
        octets = mutated(luck.choice(recorded), luck)
        assert ask(lab, luck.choice(("/gsma/rsp2/asn1", "/esipa")), ASN1, octets) in (200, 204, 400)
    assert believed(lab) == before


@given(
    body=st.binary(max_size=200),
    tag=st.sampled_from(["bf4f", "bf50", "bf3d", "bf39", "bf3b", "bf3a", "bf41"]),
)
def test_random_octets_are_answered_or_refused(lab: EimLab, body: bytes, tag: str) -> None:
    before = believed(lab)
    whole = (
        bytes.fromhex(tag)
        + (bytes((len(body),)) if len(body) < 128 else b"\x81" + bytes((len(body),)))
        + body
    )
    for octets in (body, whole):
        assert ask(lab, "/gsma/rsp2/asn1", ASN1, octets) in (200, 204, 400)
    assert believed(lab) == before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.just(str(EID)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "eidValue", "notifyStateChange", "stateChangeCause", "rPLMN", "eimPackageResult", "euiccChallenge",
        "smdpAddress", "euiccInfo1", "eimTransactionId", "transactionId", "authenticateServerResponse",
        "prepareDownloadResponse", "cancelSessionResponse", "pendingNotification", "provideEimPackageResult",
    ]
)  # fmt: skip


@given(
    function=st.sampled_from([f for f in EsipaFunction if f is not EsipaFunction.TRANSFER_EIM_PACKAGE]),
    members=st.dictionaries(NAMES, VALUES, max_size=6),
)
def test_random_members_of_json_are_answered_or_refused(
    lab: EimLab, function: EsipaFunction, members: dict[str, Any]
) -> None:
    body = json.dumps(members).encode()
    assert ask(lab, f"/gsma/rsp2/esipa/{function}", JSON, body) in (200, 204, 400)


def test_recorded_messages_in_json_are_the_same_messages(recorded: list[bytes]) -> None:
    assert len({octets[:2] for octets in recorded}) >= 6
    for octets in recorded:
        request = esipa_json.write_request(octets)
        function = EsipaFunction(request.path.rpartition("/")[2])
        assert esipa_json.read_request(function, request.body) == octets


def test_mutated_json_is_answered_or_refused(lab: EimLab, recorded: list[bytes]) -> None:
    luck = random.Random(5)
    before = believed(lab)
    for _ in range(300):
        request = esipa_json.write_request(luck.choice(recorded))
        assert ask(lab, request.path, JSON, mutated(request.body, luck)) in (200, 204, 400)
    assert believed(lab) == before


def test_nothing_but_malformed_is_raised_for_what_is_no_message(lab: EimLab) -> None:
    for body in (b"", b"\xbf", b"\xbf\x4f", b"\x30\x00", b"\xbf\x4e\x02\x05\x00"):
        with pytest.raises(Malformed):
            lab.answer(body)
