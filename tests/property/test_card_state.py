"""A card under random sequences of commands, good and bad, resets and power cuts, against its invariants."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.card_invariants import check, check_after_boot, executed_counters, installed_aids, never_back
from tests.card_lab import EIM, Lab, identity
from tests.property import card_operations as operations
from tests.property.card_operations import furnished

from keim.euicc.faults import Faults, PowerLost
from keim.euicc.nvm import MemoryMedium
from keim.messages.package import EuiccPackageResult

IDENTITY = identity(has_ipae=True, has_load_crl=True)
START = furnished(IDENTITY)
choices = st.integers(0, 2**32 - 1)


class CardLife(RuleBasedStateMachine):
    """`executed` is the model's memory: the octets of packages that the card says it executed."""

    @initialize()
    def begin(self) -> None:
        self.faults = Faults()
        self.lab = Lab(
            medium=MemoryMedium(START.card.state), faults=self.faults, eim=False, card_identity=IDENTITY
        )
        self.lab.counter, self.lab.token = START.counter, START.token
        self.before = self.lab.card.state
        self.executed: list[bytes] = []
        self.highest = START.counter

    def _do(self, operation: operations.Operation, seed: int) -> None:
        try:
            operation(self.lab, random.Random(seed))
        except PowerLost:
            self.faults.cut_at_write = self.faults.cut_at_apdu = None
            self.lab.power_on()
            check_after_boot(self.lab.card)

    @rule(seed=choices)
    def package(self, seed: int) -> None:
        self._do(operations.run_package, seed)

    @rule(seed=choices)
    def download(self, seed: int) -> None:
        self._do(operations.download, seed)

    @rule(seed=choices)
    def local(self, seed: int) -> None:
        self._do(operations.local, seed)

    @rule(seed=choices)
    def special(self, seed: int) -> None:
        self._do(operations.special, seed)

    @rule(seed=choices)
    def memory_reset(self, seed: int) -> None:
        self._do(operations.memory_reset, seed)

    @rule(seed=choices)
    def acknowledge(self, seed: int) -> None:
        self._do(operations.acknowledge, seed)

    @rule(seed=choices)
    def look(self, seed: int) -> None:
        self._do(operations.look, seed)

    @rule(seed=choices)
    def garbage(self, seed: int) -> None:
        self._do(operations.garbage, seed)

    @rule(data=st.binary(max_size=40))
    def any_chain(self, data: bytes) -> None:
        self._do(lambda lab, _: void(lab.chain(data)), 0)

    @rule(write=st.integers(0, 12))
    def cut_power_soon(self, write: int) -> None:
        """At this write of whichever APDU comes to it first."""
        self.faults.cut_at_write = write

    @rule(is_busy=st.booleans(), is_full=st.booleans())
    def trouble(self, is_busy: bool, is_full: bool) -> None:
        self.faults.is_busy, self.faults.is_out_of_memory = is_busy, is_full

    @rule(has_terminal=st.booleans())
    def reset(self, has_terminal: bool) -> None:
        try:
            self.lab.power_on()
        except PowerLost:
            self.lab.power_on()
        check_after_boot(self.lab.card)
        if has_terminal:
            self.lab.card.transmit(bytes.fromhex("8010000023" + "FF" * 35))

    @rule()
    def terminal_answers(self) -> None:
        """FETCH, and TERMINAL RESPONSE that REFRESH was performed."""
        try:
            self.lab.send(bytes.fromhex("801200000B"))
            self.lab.send(bytes.fromhex("801400000C810301010982028281830100"))
        except PowerLost:
            self.lab.power_on()

    @rule()
    def a_package_is_executed_once(self) -> None:
        try:
            octets = self.lab.package()
            first = EuiccPackageResult.decode(self.lab.es10(octets))
            again = EuiccPackageResult.decode(self.lab.es10(octets))
        except PowerLost:
            self.lab.power_on()
            return
        if first.euicc_package_result_signed is not None:
            assert again.euicc_package_error_signed is not None

    @invariant()
    def all_is_well(self) -> None:
        if not hasattr(self, "lab"):
            return
        card = self.lab.card
        assert card.last_error is None
        state = card.state
        check(card)
        never_back(self.before, state)
        counter = next((eim.counter_value for eim in state.isdr.eims if eim.eim_id == EIM), self.highest)
        assert counter >= self.highest
        executed = [value for eim_id, value in executed_counters(state) if eim_id == EIM]
        assert all(value <= counter for value in executed)
        assert all(executed.count(value) == 1 for value in executed)
        self.highest = counter
        known = {profile.aid for profile in state.profiles}
        if known - {profile.aid for profile in self.before.profiles}:
            assert known - {profile.aid for profile in self.before.profiles} <= installed_aids(state)
        self.before = state


def void(_: Any) -> None:
    """An operation returns nothing."""


TestCardLife = CardLife.TestCase
TestCardLife.settings = settings(stateful_step_count=40)
