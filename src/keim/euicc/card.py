"""The card: two verbs, and everything that no single command can see to.

Counts APDUs for the fault controls, finds the command, shapes the answer for T=0 (61xx, 91xx), switches
profiles when the standard's moment for it has come, and boots.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from keim.errors import KeimError, Malformed, StoreFailed
from keim.euicc import apdu as apdus
from keim.euicc import es10, nvm, status, toolkit
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.applets import AppletEvent, CardReset, ToolkitApplet
from keim.euicc.channels import after_switch, first_channel
from keim.euicc.commands.get_response import announce
from keim.euicc.commands.table import find
from keim.euicc.context import CardContext
from keim.euicc.faults import Faults, PowerLost
from keim.euicc.identity import Identity
from keim.euicc.nvm import Medium, MemoryMedium
from keim.euicc.platform import file_system_of
from keim.euicc.state import POWERED_OFF, CardState, Volatile
from keim.euicc.status import StatusError
from keim.saip import FileSystem
from keim.seams import Entropy

GET_RESPONSE = 0xC0


class Card:
    """One card. `medium` keeps the state; without one the card lives in memory only."""

    __slots__ = (
        "_switch_is_due",
        "applets",
        "entropy",
        "faults",
        "identity",
        "last_error",
        "medium",
        "state",
        "volatile",
    )

    def __init__(
        self,
        identity: Identity,
        entropy: Entropy,
        *,
        state: CardState | None = None,
        medium: Medium | None = None,
        applets: Sequence[ToolkitApplet] = (),
        faults: Faults | None = None,
    ) -> None:
        if medium is None:
            medium = MemoryMedium(state if state is not None else CardState())
        self.identity = identity
        self.entropy = entropy
        self.medium = medium
        self.state = medium.reload()
        self.volatile: Volatile = POWERED_OFF
        self.applets = tuple(applets)
        self.faults = faults
        self.last_error: Exception | None = None
        self._switch_is_due = False

    # the two verbs

    def transmit(self, octets: bytes) -> bytes:
        """Any byte string is answered with a status word. Raises `PowerLost` only when a fault control cuts
        power.
        """
        try:
            data, word = self._answer(octets)
        except PowerLost:
            self.power_off()
            raise
        return data + word.to_bytes(2, "big")

    def reset(self) -> bytes:
        """Cold or warm reset: boots from what the medium holds, returns the ATR."""
        self.power_off()
        if self.faults is not None:
            self.faults.begin_writes()
        self.state = self.medium.reload()
        self.volatile = Volatile(channels={0: first_channel(False)})
        context = CardContext(self, 0)
        try:
            es10.recover(context)
            if es10.has_open_switch(context):
                es10.complete_switch(context)
            if not isinstance(self.medium, MemoryMedium):
                self.file_system()  # another keim may have installed it
            context.channel = first_channel(self.has_file_system)
            toolkit.tell_applets(self, CardReset())
        except PowerLost:
            self.power_off()
            raise
        return self.identity.options.atr

    def power_off(self) -> None:
        self.volatile = POWERED_OFF
        self._switch_is_due = False

    def close(self) -> None:
        """Makes the card a `CardChannel`."""
        self.power_off()

    # what contexts use

    def commit(self, transaction: str, state: CardState) -> None:
        self.state = nvm.commit(self.medium, self.faults, transaction, self.state, state)

    def file_system(self) -> FileSystem | None:
        """Of the enabled profile. One whose files cannot be made any more does not stay enabled."""
        while (profile := self.state.enabled_profile) is not None:
            try:
                return file_system_of(profile.package)
            except KeimError as fault:
                self.last_error = fault
                es10.disable_broken_profile(CardContext(self, 0))
                if self.state.enabled_profile is profile:
                    return None
        return None

    @property
    def has_file_system(self) -> bool:
        return self.state.enabled_profile is not None

    def tell_applets(self, event: AppletEvent) -> None:
        toolkit.tell_applets(self, event)

    def tell_applet(self, source: int, event: AppletEvent) -> None:
        toolkit.tell_applet(self, source, event)

    def switch_after_response(self) -> None:
        context = CardContext(self, 0)
        if not context.has_terminal_profile:
            self._switch_is_due = True
        elif toolkit.takes_refresh(context):
            toolkit.queue_refresh(context)

    # inside

    def _answer(self, octets: bytes) -> Answer:
        faults = self.faults
        if faults is not None and faults.begin_apdu(octets[1] if len(octets) > 1 else -1):
            return Answer(b"", status.TECHNICAL_PROBLEM)
        try:
            if not self.volatile.channels:
                self.reset()  # whoever sends an APDU has powered the card
            return self._run_and_switch(octets)
        except PowerLost:
            raise
        except StoreFailed as fault:
            self.last_error = fault
            self.power_off()  # what is on the disk decides: the next command boots from it
            return Answer(b"", status.MEMORY_PROBLEM)
        except (
            Exception
        ) as error:  # a card never crashes its reader: a fault of ours is 6F00, kept for who asks
            self.last_error = error
            return Answer(b"", status.TECHNICAL_PROBLEM)

    def _run_and_switch(self, octets: bytes) -> Answer:
        before = self.state
        try:
            answer = self._run(octets)
        except StatusError as refusal:
            answer = Answer(b"", refusal.status)
        except Malformed:
            answer = Answer(b"", status.WRONG_DATA)
        if self._switch_is_due and not self._is_more_pending(answer):
            self._switch_is_due = False
            es10.complete_switch(CardContext(self, 0))
        if self.state is not before:
            self._notice_switch(before)
        return answer

    def _run(self, octets: bytes) -> Answer:
        apdu = apdus.parse(octets)
        context = CardContext(self, apdu.channel)
        command = find(apdu)
        if context.channel.pending and apdu.ins != GET_RESPONSE:
            context.channel = msgspec.structs.replace(context.channel, pending=b"")
        answer = command(context, apdu)
        if answer.data and apdu.ins != GET_RESPONSE and (apdu.has_data or apdu.le is None):
            answer = self._hold_back(context, answer)
        return self._with_toolkit(apdu, answer)

    def _hold_back(self, context: CardContext, answer: Answer) -> Answer:
        """A case-4 answer waits for GET RESPONSE, unless the card is configured to answer directly."""
        if self.identity.options.answers_directly:
            first, rest = answer.data[:256], answer.data[256:]
        else:
            first, rest = b"", answer.data
        if not rest:
            return answer
        context.channel = msgspec.structs.replace(context.channel, pending=rest, pending_status=answer.status)
        return Answer(first, announce(rest))

    def _with_toolkit(self, apdu: Apdu, answer: Answer) -> Answer:
        """9000 becomes 91xx while a proactive command waits to be fetched."""
        waiting = self.volatile.toolkit
        is_ready = waiting.terminal_profile is not None and waiting.outstanding is None
        if answer.status == status.OK and waiting.queue and is_ready:
            return Answer(answer.data, 0x9100 | min(len(waiting.queue[0][1]), 0xFF))
        return answer

    def _is_more_pending(self, answer: Answer) -> bool:
        return answer.status & 0xFF00 == 0x6100

    def _notice_switch(self, before: CardState) -> None:
        """Whatever command switched profiles: channels lose what belonged to the former one."""
        former, enabled = before.enabled_profile, self.state.enabled_profile
        if (former and former.aid) != (enabled and enabled.aid):
            self.volatile = after_switch(self.volatile, self.has_file_system)
