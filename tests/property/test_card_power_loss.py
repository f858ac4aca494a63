"""Power is cut before every single write of every transaction, and again before every write of the boot.

The card is deterministic here, so the oracle is exact: after the boot it is what it would be if power had
been lost just before or just after a whole transaction (euicc.md section 14).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import pairwise
from typing import NamedTuple

import pytest
from tests.card_invariants import (
    check_after_boot,
    entries_of,
    executed_counters,
    installed_aids,
    never_back,
)
from tests.card_lab import Lab, SeededEntropy, configuration, iccid, identity, world
from tests.property.card_operations import OPERATIONS, furnished

from keim.der import read_tlv, tlv
from keim.euicc import persist
from keim.euicc.card import Card
from keim.euicc.faults import Faults, PowerLost
from keim.euicc.nvm import MemoryMedium, changes
from keim.euicc.state import CardState
from keim.messages.package import DeleteEimEco, DeletePsmo, DisablePsmo, Eco, EnablePsmo, GetRatPsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki.load_crl import request_of

A, B, C = iccid(1), iccid(2), iccid(3)
SIGNED_ERROR = 0xA1
IDENTITY = identity(has_reproducible_signatures=True, has_load_crl=True, has_ipae=True)


class Recorder(MemoryMedium):
    """Remembers every state that was sealed."""

    def __init__(self, state: CardState) -> None:
        super().__init__(state)
        self.sealed = [state]

    def seal(self, transaction: str, state: CardState) -> None:
        super().seal(transaction, state)
        self.sealed.append(state)


class Run(NamedTuple):
    """An operation as it goes without a cut: APDUs, write points of each, states sealed up to each."""

    start: CardState
    apdus: list[bytes]
    writes: list[int]
    sealed: list[list[CardState]]


class Tape(Lab):
    """A laboratory whose card is recorded."""

    def __init__(self, start: CardState, counter: int, token: int | None) -> None:
        self.tape: list[bytes] = []
        self.writes: list[int] = []
        self.seals: list[list[CardState]] = []
        self.recorder = Recorder(start)
        self.faults = Faults()
        super().__init__(medium=self.recorder, faults=self.faults, eim=False, card_identity=IDENTITY)
        self.counter, self.token = counter, token

    def power_on(self) -> None:
        self.card.reset()
        self.send(bytes.fromhex("00A4040010A0000005591010FFFFFFFF8900000100"))

    def send(self, apdu: bytes) -> tuple[bytes, int]:
        response = self.card.transmit(apdu)
        self.tape.append(apdu)
        self.writes.append(len(self.faults.write_points))
        self.seals.append(list(self.recorder.sealed))
        data, word = response[:-2], response[-2:]
        while word[0] == 0x61:
            rest, status = self.send(bytes((0x80, 0xC0, 0, 0, word[1])))
            return data + rest, status
        return data, int.from_bytes(word, "big")


def recorded(start: CardState, counter: int, token: int | None, operation: Callable[[Lab], object]) -> Run:
    tape = Tape(start, counter, token)
    operation(tape)
    assert tape.card.last_error is None
    return Run(start, tape.tape, tape.writes, tape.seals)


def fresh(state: CardState, faults: Faults | None = None) -> Card:
    return Card(IDENTITY, SeededEntropy(), state=state, faults=faults)


def booted(state: CardState) -> CardState:
    """What a card becomes that finds this state at power-up."""
    card = fresh(state)
    card.reset()
    check_after_boot(card)
    return card.state


def cut_everywhere(run: Run) -> int:
    """The number of cut points; every one of them ends in a state that the oracle allows."""
    points = 0
    for index, writes in enumerate(run.writes):
        before = run.sealed[index - 1] if index else [run.start]
        allowed = [booted(state) for state in run.sealed[index][len(before) - 1 :]]
        for write in range(writes):
            medium = MemoryMedium(run.start)
            card = Card(
                IDENTITY,
                SeededEntropy(),
                medium=medium,
                faults=Faults(cut_at_apdu=index, cut_at_write=write),
            )
            card.reset()
            with pytest.raises(PowerLost):
                play(card, run.apdus[: index + 1])
            points += 1 + cut_in_boot(medium.reload(), allowed)
            card.faults = None
            card.reset()
            check_after_boot(card)
            assert card.state in allowed
            nothing_is_lost(before[-1], card.state)
    return points


def play(card: Card, apdus: list[bytes]) -> None:
    for apdu in apdus:
        card.transmit(apdu)


def cut_in_boot(state: CardState, allowed: list[CardState]) -> int:
    faults = Faults()
    card = fresh(state, faults)
    card.reset()
    writes = len(faults.write_points)
    for write in range(writes):
        again = fresh(state, Faults(cut_at_write=write))
        with pytest.raises(PowerLost):
            again.reset()
        again.faults = None
        again.reset()
        check_after_boot(again)
        assert again.state in allowed
    return writes


def nothing_is_lost(before: CardState, after: CardState) -> None:
    """Across one APDU: a consumed counter has its result, a new profile its installation result."""
    never_back(before, after)
    former = {eim.eim_id: eim.counter_value for eim in before.isdr.eims}
    results = executed_counters(after)
    for eim in after.isdr.eims:
        if eim.counter_value > former.get(eim.eim_id, eim.counter_value):
            assert (eim.eim_id, eim.counter_value) in results
    made = {profile.aid for profile in after.profiles} - {profile.aid for profile in before.profiles}
    assert made <= installed_aids(after)


def package(*commands: Psmo | Eco) -> Callable[[Lab], object]:
    return lambda lab: lab.run(*commands)


def enable(target: bytes, *, rollback: bool = False) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=target, rollback_flag=rollback))


def rolled_back(lab: Lab) -> None:
    lab.run(enable(B, rollback=True))
    lab.es10("BF5803800100")


def refreshed(lab: Lab) -> None:
    """The switch waits for the terminal."""
    lab.send(bytes.fromhex("8010000023" + "FF" * 35))
    lab.run(enable(B))
    lab.send(bytes.fromhex("801200000B"))
    lab.send(bytes.fromhex("801400000C810301010982028281830100"))


def aborted_download(lab: Lab) -> None:
    bpp = lab.bound(lab.prepare(), 4)
    lab.es10(bpp[:400])
    lab.es10("BF2000")


def there_and_back(lab: Lab) -> None:
    lab.es10("BF5D03800100")
    lab.es10("BF5E03800100")


def emergency(lab: Lab) -> None:
    lab.es10("BF5B03800100")
    lab.es10("BF5C038001FF")


SCENARIOS: dict[str, Callable[[Lab], object]] = {
    "swap": package(enable(B)),
    "swap with rollback": rolled_back,
    "swap at the terminal's response": refreshed,
    "disable and delete": package(
        Psmo(disable=DisablePsmo(iccid=A)), Psmo(delete=DeletePsmo(iccid=A)), Psmo(delete=DeletePsmo(iccid=B))
    ),
    "listing": package(Psmo(list_profile_info=ProfileInfoListRequest())),
    "failing command": package(Psmo(delete=DeletePsmo(iccid=A))),
    "eIM added": package(Eco(add_eim=configuration("x")), Eco(add_eim=configuration("y"))),
    "eIM deletes itself": package(Eco(delete_eim=DeleteEimEco(eim_id="eim.example.com"))),
    "download": lambda lab: lab.download(4),
    "refused download": lambda lab: lab.download(1),
    "damaged download": lambda lab: lab.download(4, upp=b"\x30\x00"),
    "aborted download": aborted_download,
    "memory reset": lambda lab: lab.es10("BF6404820201FE"),
    "fallback": there_and_back,
    "emergency": emergency,
    "local enable": lambda lab: lab.es10(tlv(0xBF31, tlv(0xA0, tlv(0x5A, B)), tlv(0x81, b"\x00"))),
    "local disable": lambda lab: lab.es10(tlv(0xBF32, tlv(0xA0, tlv(0x5A, A)), tlv(0x81, b"\x01"))),
    "local delete": lambda lab: lab.es10(tlv(0xBF33, tlv(0x5A, B))),
    "nickname": lambda lab: lab.es10(tlv(0xBF29, tlv(0x5A, A), tlv(0x90, b"n"))),
    "CRL": lambda lab: lab.es10(request_of(world().crls[0])),
    "IPAe": lambda lab: lab.es10("BF420480020780"),
    "address": lambda lab: lab.es10("BF6503800161"),
}


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Callable[[str, int], None]]:
    """Tells how many cut points each test tried, and at the end all of them together."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    tried: list[int] = []

    def told(line: str) -> None:
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            print(f"\npower loss: {line}, none lost", end="", flush=True)

    def tell(name: str, points: int) -> None:
        tried.append(points)
        told(f"{name}: cut at {points} points")

    yield tell
    told(f"{len(tried)} tests cut at {sum(tried)} points in all")


@pytest.fixture(scope="module")
def start() -> tuple[CardState, int, int | None]:
    lab = furnished(IDENTITY)
    return lab.card.state, lab.counter, lab.token


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_every_cut_leaves_the_card_before_or_after_a_transaction(
    name: str, start: tuple[CardState, int, int | None], tally: Callable[[str, int], None]
) -> None:
    points = cut_everywhere(recorded(*start, SCENARIOS[name]))
    assert points > 0
    tally(name, points)


def random_operations(seed: int, steps: int) -> Callable[[Lab], object]:
    chosen = random.Random(seed)

    def operate(lab: Lab) -> None:
        for _ in range(steps):
            OPERATIONS[chosen.randrange(len(OPERATIONS))](lab, chosen)

    return operate


def run_random(seeds: range, start: tuple[CardState, int, int | None]) -> int:
    return sum(cut_everywhere(recorded(*start, random_operations(seed, 5))) for seed in seeds)


def test_random_sequences_survive_every_cut(
    start: tuple[CardState, int, int | None], tally: Callable[[str, int], None]
) -> None:
    points = run_random(range(60), start)
    assert points > 5000
    tally("random sequences", points)


@pytest.mark.long
def test_many_random_sequences_survive_every_cut(
    start: tuple[CardState, int, int | None], tally: Callable[[str, int], None]
) -> None:
    tally("many random sequences", run_random(range(1000, 1500), start))


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_every_transaction_can_be_written_and_read_back(
    name: str, start: tuple[CardState, int, int | None]
) -> None:
    """The journal of the card file holds cells: they must give the state that was sealed."""
    run = recorded(*start, SCENARIOS[name])
    sealed = run.sealed[-1]
    for old, new in pairwise(sealed):
        cells = [persist.encode_write(write) for write in changes(old, new)]
        assert persist.apply(old, cells) == new
        assert persist.decode_snapshot(persist.encode_snapshot(IDENTITY, new)).state == new


@pytest.mark.parametrize(
    ("point", "entries"),
    [
        ("package start: seal", None),
        ("package start: after the seal", ["020103"]),
        ("package command: seal", ["020103"]),
        ("package command: after the seal", ["a600", "020103"]),
    ],
)
def test_an_interrupted_package_tells_how_far_it_came(
    point: str, entries: list[str] | None, start: tuple[CardState, int, int | None]
) -> None:
    """The first time that the card passes the point, in a package of three commands."""
    rat = Psmo(get_rat=GetRatPsmo())
    state, counter, token = start
    lab = Lab(state=state, eim=False, card_identity=IDENTITY, faults=Faults())
    lab.counter, lab.token = counter, token
    octets = lab.package(rat, rat, rat)
    points = _points_of(state, octets)
    card = _cut(state, octets, points.index(point))
    results = [stored.data for stored in card.state.isdr.results[len(state.isdr.results) :]]
    if entries is None:
        assert results == []
    else:
        assert [entry.hex() for entry in entries_of(results[0])] == entries
    again = Lab(medium=card.medium, eim=False, card_identity=IDENTITY)
    assert (_kind(again.es10(octets)) == SIGNED_ERROR) is (entries is not None)


def _kind(answer: bytes) -> int:
    return answer[read_tlv(answer).content]


def _points_of(state: CardState, octets: bytes) -> list[str]:
    """The package fits into one APDU, so its write points are those of that APDU."""
    faults = Faults()
    lab = Lab(state=state, eim=False, card_identity=IDENTITY, faults=faults)
    lab.card.transmit(bytes.fromhex("80E29100") + bytes((len(octets),)) + octets)
    return faults.write_points


def _cut(state: CardState, octets: bytes, write: int) -> Card:
    faults = Faults()
    lab = Lab(state=state, eim=False, card_identity=IDENTITY, faults=faults)
    faults.cut_at_write = write
    with pytest.raises(PowerLost):
        lab.es10(octets)
    lab.card.faults = None
    lab.card.reset()
    check_after_boot(lab.card)
    return lab.card
