"""The software eUICC: packages and downloads a second, and what an idle card weighs.

A deterministic card answers the same octets each time, so recorded commands are played again and again on the
same state; nothing but the card's own work is measured. The card verifies, executes, commits and signs for
real; the bare cost of one verification and one signature is measured in the same run.
"""

from __future__ import annotations

import gc
import json as json_module
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from tests.card_lab import EID, Lab, SeededEntropy, eim_spki, iccid, identity, metadata, signer, upp

from benchmarks.timing import side_by_side
from keim.crypto.suites import suite_named, verifying_key_of_spki
from keim.der import tlv
from keim.euicc.card import Card
from keim.euicc.isdr.pending import CAPACITY
from keim.euicc.isdr_state import ProfileRecord
from keim.euicc.state import CardState, Profile
from keim.ids import Eid
from keim.messages.package import EnablePsmo, GetRatPsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

TARGET_RATIO = 2.5
TARGET_OCTETS = 12 * 1024
TARGET_FLEET_GIB = 3.0
FLEET = 100_000
IDLE_CARDS = 4000
ROOT = Path(__file__).parents[1]


class Player(Lab):
    """Records the APDUs of an operation."""

    def __init__(self, state: CardState | None = None) -> None:
        self.tape: list[bytes] = []
        super().__init__(
            state=state, eim=state is None, card_identity=identity(has_reproducible_signatures=True)
        )

    def send(self, apdu: bytes) -> tuple[bytes, int]:
        response = self.card.transmit(apdu)
        self.tape.append(apdu)
        data, word = response[:-2], response[-2:]
        while word[0] == 0x61:
            rest, status = self.send(bytes((0x80, 0xC0, 0, 0, word[1])))
            return data + rest, status
        return data, int.from_bytes(word, "big")


def furnished(*, is_silent: bool) -> Player:
    """Two profiles, the first enabled; `is_silent`: they announce nothing."""
    addresses = () if is_silent else ("notify.example.com",)
    lab = Player()
    for number in (1, 2):
        lab.download(number, metadata={"notification_addresses": addresses})
    lab.run(Psmo(enable=EnablePsmo(iccid=iccid(1))))
    for number in range(1, lab.card.state.isdr.next_sequence_number):
        lab.es10(tlv(0xBF30, tlv(0x80, bytes((number,)))))
    return lab


def replay(lab: Player, operation: Callable[[Player], object]) -> Callable[[], object]:
    """The operation's APDUs on the state of now, as often as wanted."""
    card = lab.card
    card.entropy = SeededEntropy(7)
    state, volatile = card.state, card.volatile
    lab.tape.clear()
    operation(lab)
    apdus = tuple(lab.tape)
    outcome = card.state

    def play() -> None:
        card.medium.seal("rewound", state)
        card.state, card.volatile, card.entropy = state, volatile, SeededEntropy(7)
        for apdu in apdus:
            card.transmit(apdu)

    play()
    if card.state != outcome:
        raise AssertionError("the card did not do the same again")
    return play


def package(*commands: Psmo) -> Callable[[Player], object]:
    return lambda lab: lab.run(*commands)


def measured() -> dict[str, float]:
    key = verifying_key_of_spki(eim_spki())
    own = suite_named("ecdsa-p256-sha256").new_signer()
    message = bytes(120)
    signature = signer("eim-sign").sign(message)
    silent, loud = furnished(is_silent=True), furnished(is_silent=False)
    enable = package(Psmo(enable=EnablePsmo(iccid=iccid(2))))
    functions: dict[str, Callable[[], object]] = {
        "one verify and one sign, bare": lambda: (key.accepts(signature, message), own.sign(message)),
        "package: getRAT": replay(silent, package(Psmo(get_rat=GetRatPsmo()))),
    }
    for name, lab, operation in (
        ("package: listProfileInfo of two", furnished(is_silent=True), package(_listing())),
        ("package: enable with switch, silent", furnished(is_silent=True), enable),
        ("package: enable with switch, two notifications", loud, enable),
        ("download of a minimal profile", furnished(is_silent=True), lambda lab: lab.download(3)),
    ):
        functions[name] = replay(lab, operation)
    return side_by_side(functions)


def _listing() -> Psmo:
    return Psmo(list_profile_info=ProfileInfoListRequest())


def idle_cards(count: int) -> list[Card]:
    """Cards as a simulation holds them: own EID, key, certificate and profiles; shared is what is equal."""
    eim = Lab().card.state.isdr
    shared = identity()
    cards = []
    entropy = SeededEntropy()
    for number in range(count):
        credential = msgspec.structs.replace(
            shared.credentials[0],
            private_key=number.to_bytes(32, "big"),
            certificate=shared.credentials[0].certificate[:-4] + number.to_bytes(4, "big"),
        )
        own = msgspec.structs.replace(
            shared, eid=Eid.with_check_digits(f"89880000{number:022d}"), credentials=(credential,)
        )
        profiles = tuple(_profile(2 * number + n, is_enabled=n == 0) for n in range(2))
        cards.append(Card(own, entropy, state=CardState(isdr=eim, profiles=profiles)))
    return cards


def _profile(number: int, *, is_enabled: bool) -> Profile:
    marker = number.to_bytes(4, "big")
    return Profile(
        aid=bytes.fromhex("A0000005591010FFFFFFFF8900001000")[:-4] + marker,
        iccid=iccid(1)[:-4] + marker,
        is_enabled=is_enabled,
        record=ProfileRecord(metadata=metadata(1).encode() + marker, smdp_oid="2.999.10"),
        package=upp(1) + marker,
        charge=3000,
    )


def octets_per_card(count: int = IDLE_CARDS) -> float:
    idle_cards(10)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    cards = idle_cards(count)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cards) == count
    return (after - before) / count


def gib_of_a_fleet() -> float:
    """Resident memory of 100,000 cards in a process of their own, interpreter and modules included."""
    script = (
        "import resource; from benchmarks.euicc import FLEET, idle_cards; cards = idle_cards(FLEET); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return int(done.stdout) / 2**20


def report() -> dict[str, Any]:
    times = measured()
    bare = times["one verify and one sign, bare"]
    figures = {
        "ratio_of_a_one_psmo_package": (times["package: getRAT"] / bare, TARGET_RATIO),
        "ratio_of_a_silent_enable": (times["package: enable with switch, silent"] / bare, TARGET_RATIO),
        "octets_per_idle_card": (octets_per_card(), TARGET_OCTETS),
        "gib_of_100000_idle_cards": (gib_of_a_fleet(), TARGET_FLEET_GIB),
    }
    return {
        "microseconds": times,
        "per_second": {name: 1e6 / value for name, value in times.items()},
        "targets": {
            name: {"measured": value, "at_most": target, "is_met": value <= target}
            for name, (value, target) in figures.items()
        },
    }


def run(json: bool) -> int:
    found = report()
    if json:
        print(json_module.dumps(found))
        return 0
    print("median microseconds of processor time, taken in turns\n")
    for name, value in found["microseconds"].items():
        print(f"  {name:48} {value:9.1f} µs {1e6 / value:9.0f} /s")
    print()
    for name, row in found["targets"].items():
        title, verdict = name.replace("_", " "), "met" if row["is_met"] else "MISSED"
        print(f"  {title:48} {row['measured']:9.2f}    at most {row['at_most']:<8} {verdict}")
    print(f"\ntwo profiles a card, each a package of {len(upp(1))} octets, one eIM, EID {EID},")
    print(f"room for {CAPACITY} pending items")
    return 0


if __name__ == "__main__":
    raise SystemExit(run("--json" in sys.argv))
