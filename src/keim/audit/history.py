"""What follows from proved leaves: counters rise, results belong to packages, profiles switch.

Only what an eUICC signed moves a profile. Evidence counts in the order of the eUICC's own numbers, so
that a late delivery changes nothing. Pure. Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from keim.audit.device import MOST_PACKAGES, Device, Sent, device_of, octets_of_device
from keim.audit.evidence import Memory, Proved
from keim.audit.leaf import Leaf, time_of
from keim.audit.report import Period, Report, TellPeriod
from keim.errors import Malformed
from keim.ids import Eid, Iccid
from keim.messages.common import NotificationEvent
from keim.messages.notification import NotificationMetadata
from keim.messages.package import (
    DeleteProfileResult,
    DisableProfileResult,
    EnableProfileResult,
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccResultData,
    RollbackProfileResult,
)
from keim.messages.profile import ProfileState

DEVICE: Final = b"d"
RESULT_OF: Final = {
    "enable": "enable_result",
    "disable": "disable_result",
    "delete": "delete_result",
    "list_profile_info": "list_profile_info_result",
    "get_rat": "get_rat_result",
    "configure_immediate_enable": "configure_immediate_enable_result",
    "set_fallback_attribute": "set_fallback_attribute_result",
    "unset_fallback_attribute": "unset_fallback_attribute_result",
    "set_default_dp_address": "set_default_dp_address_result",
    "add_eim": "add_eim_result",
    "delete_eim": "delete_eim_result",
    "update_eim": "update_eim_result",
    "list_eim": "list_eim_result",
}


class History:
    """Folds proved leaves into one `Device` per eUICC and tells each period of a profile as it ends."""

    def __init__(self, report: Report, memory: Memory, tell: TellPeriod | None = None) -> None:
        self.report = report
        self.memory = memory
        self.tell = tell or (lambda period: None)
        self.has_gap = False
        """A leaf was altered: what is missing may have been in it."""

    def apply(self, index: int, leaf: Leaf, proved: Proved) -> None:
        if leaf.eid is None or not (proved.package or proved.result or proved.notifications):
            return
        key = DEVICE + leaf.eid
        stored = self.memory.get(key)
        if stored is None:
            self.report.euiccs += 1
        device = device_of(stored)
        if proved.package is not None:
            self._package(index, leaf, device, proved.package)
        if proved.result is not None:
            self._result(index, leaf, device, proved.result)
        for notification in sorted(proved.notifications, key=lambda found: found.seq_number):
            self._notification(index, leaf, device, notification)
        self.memory[key] = octets_of_device(device)

    def finish(self) -> None:
        """Tells the periods that are still open."""
        for key in self.memory:
            if key[:1] == DEVICE:
                device = device_of(self.memory[key])
                if device.enabled is not None:
                    self._tell(key[1:], device)

    # packages

    def _package(self, index: int, leaf: Leaf, device: Device, package: EuiccPackageRequest) -> None:
        signed = package.euicc_package_signed
        scope = _scope(signed.eim_id, leaf)
        if signed.counter_value <= device.counters.get(scope, -1):
            self.report.fault(
                "audit.counter_not_rising",
                f"counterValue {signed.counter_value} does not rise above {device.counters[scope]}",
                index,
            )
        device.counters[scope] = max(signed.counter_value, device.counters.get(scope, -1))
        commands = signed.euicc_package.psmo_list or signed.euicc_package.eco_list or ()
        device.packages.append(
            Sent(
                scope=scope,
                counter=signed.counter_value,
                transaction_id=signed.eim_transaction_id,
                time=leaf.time,
                commands=[
                    (command.kind, getattr(command.value, "iccid", None) or b"") for command in commands
                ],
            )
        )
        answered = [sent for sent in device.packages if sent.is_answered]
        drop = {id(sent) for sent in answered[:-2]}
        kept = [sent for sent in device.packages if id(sent) not in drop]
        device.forgotten += max(0, len(kept) - MOST_PACKAGES)
        device.packages = kept[-MOST_PACKAGES:]

    # results

    def _result(self, index: int, leaf: Leaf, device: Device, result: EuiccPackageResult) -> None:
        if (good := result.euicc_package_result_signed) is not None:
            data = good.euicc_package_result_data_signed
            sent = self._sent(
                index,
                device,
                eim_id=data.eim_id,
                counter=data.counter_value,
                transaction_id=data.eim_transaction_id,
            )
            if sent is None or data.seq_number <= device.sequence:
                return
            if self._fits(index, sent, data.euicc_result):
                device.sequence = data.seq_number
                self._effects(index, leaf, device, sent, data.euicc_result)
            sent.is_answered = sent.is_applied = True
        elif (error := result.euicc_package_error_signed) is not None:
            found = error.euicc_package_error_data_signed
            sent = self._sent(
                index,
                device,
                eim_id=found.eim_id,
                counter=found.counter_value,
                transaction_id=found.eim_transaction_id,
            )
            if sent is not None and not sent.is_answered:
                # After a replayError the true result may still come, so what is enabled now is kept.
                sent.is_answered, sent.before, sent.was_known = True, device.enabled, device.is_known

    def _sent(
        self, index: int, device: Device, *, eim_id: str, counter: int, transaction_id: bytes | None
    ) -> Sent | None:
        for sent in reversed(device.packages):
            if sent.counter == counter and sent.transaction_id == transaction_id:
                if sent.scope[:8] != _eim_digest(eim_id):
                    continue
                return sent
        if self.has_gap or device.forgotten:
            self.report.remark(
                "audit.result_without_package",
                f"the package with counterValue {counter} cannot be looked up",
                index,
            )
        else:
            self.report.fault(
                "audit.result_without_package",
                f"the eUICC answers a package (counterValue {counter}) that the log does not have",
                index,
            )
        return None

    def _fits(self, index: int, sent: Sent, results: Sequence[EuiccResultData]) -> bool:
        """Procedures §4.3 step 4: at most one entry per command, in order, and a rollback at the end."""
        entries = list(results)
        if entries and entries[-1].rollback_result is not None:
            entries.pop()
        is_fit = len(entries) <= len(sent.commands) and all(
            entry.kind in (RESULT_OF.get(name), "unknown")
            or (entry.kind == "processing_terminated" and position == len(entries) - 1)
            for position, (entry, (name, _)) in enumerate(zip(entries, sent.commands, strict=False))
        )
        if not is_fit:
            self.report.fault(
                "audit.result_mismatch",
                f"the result does not fit the commands of the package with counterValue {sent.counter}",
                index,
            )
        return is_fit

    def _effects(
        self, index: int, leaf: Leaf, device: Device, sent: Sent, results: Sequence[EuiccResultData]
    ) -> None:
        if not sent.is_answered:
            sent.before, sent.was_known = device.enabled, device.is_known
        is_rolled_back = bool(results) and results[-1].rollback_result is RollbackProfileResult.OK
        target, is_switch, why = device.enabled, False, ""
        brief = b""
        for (name, iccid), entry in zip(sent.commands, results, strict=False):
            if entry.enable_result is EnableProfileResult.OK:
                target, is_switch, why, brief = iccid, True, "enable", iccid
            elif entry.disable_result is DisableProfileResult.OK:
                target, is_switch, why = None, True, "disable"
            elif entry.delete_result is DeleteProfileResult.OK and iccid == target:
                target, is_switch, why = None, True, "delete"
            elif name == "list_profile_info" and entry.list_profile_info_result is not None:
                self._listed(index, leaf, device, entry)
                target = target if is_switch else device.enabled
        if is_rolled_back:
            self._rolled_back(index, leaf, device, sent, brief)
        elif is_switch:
            self._switch(index, leaf, device, to=target, earliest=sent.time, why=why)
        device.proof = leaf.time

    def _rolled_back(self, index: int, leaf: Leaf, device: Device, sent: Sent, brief: bytes) -> None:
        """The package's own enable is undone: what was enabled before it is enabled again (procedures §7)."""
        if brief and not sent.is_applied:
            # Its first result never came: the profile was enabled only between package and rollback.
            self.tell(
                Period(
                    eid=str(Eid.from_octets(leaf.eid or b"")),
                    iccid=_iccid(brief),
                    earliest_from=time_of(sent.time),
                    proved_from=leaf.at,
                    from_leaf=index,
                    enabled_by="enable",
                    earliest_to=time_of(sent.time),
                    proved_to=leaf.at,
                    to_leaf=index,
                    ended_by="rollback",
                )
            )
        self._switch(index, leaf, device, to=sent.before, earliest=sent.time, why="rollback")
        device.is_known = sent.was_known

    def _listed(self, index: int, leaf: Leaf, device: Device, entry: EuiccResultData) -> None:
        response = entry.list_profile_info_result
        profiles = None if response is None else response.profile_info_list_ok
        for profile in profiles or ():
            if profile.profile_state is ProfileState.ENABLED and profile.iccid is not None:
                self._switch(
                    index, leaf, device, to=profile.iccid, earliest=device.proof, why="seen in a list"
                )
                return
            if profile.profile_state is ProfileState.DISABLED and profile.iccid == device.enabled:
                self._switch(index, leaf, device, to=None, earliest=device.proof, why="seen in a list")

    # the eUICC's own reports: of switches by command, by rollback, by fallback, by the device

    def _notification(
        self, index: int, leaf: Leaf, device: Device, notification: NotificationMetadata
    ) -> None:
        event, iccid = notification.profile_management_operation, notification.iccid
        if notification.seq_number <= device.sequence or iccid is None:
            return
        device.sequence = notification.seq_number
        if event == NotificationEvent.NOTIFICATION_ENABLE:
            self._switch(index, leaf, device, to=iccid, earliest=device.proof, why="own report: enabled")
        elif device.enabled == iccid and event in (
            NotificationEvent.NOTIFICATION_DISABLE,
            NotificationEvent.NOTIFICATION_DELETE,
        ):
            self._switch(index, leaf, device, to=None, earliest=device.proof, why="own report: disabled")
        device.proof = leaf.time

    # periods

    def _switch(
        self, index: int, leaf: Leaf, device: Device, *, to: bytes | None, earliest: int | None, why: str
    ) -> None:
        if device.is_known and device.enabled == to:
            return
        if device.enabled is not None:
            self._tell(
                leaf.eid or b"", device, earliest_to=earliest, proved_to=leaf.time, why=why, index=index
            )
        device.is_known = True
        device.enabled = to
        device.earliest_from, device.proved_from = earliest, leaf.time
        device.from_leaf, device.enabled_by = index, why

    def _tell(
        self,
        eid: bytes,
        device: Device,
        *,
        earliest_to: int | None = None,
        proved_to: int = 0,
        why: str | None = None,
        index: int | None = None,
    ) -> None:
        self.tell(
            Period(
                eid=str(Eid.from_octets(eid)),
                iccid=_iccid(device.enabled or b""),
                earliest_from=None if device.earliest_from is None else time_of(device.earliest_from),
                proved_from=time_of(device.proved_from),
                from_leaf=device.from_leaf,
                enabled_by=device.enabled_by,
                earliest_to=None if earliest_to is None else time_of(earliest_to),
                proved_to=None if why is None else time_of(proved_to),
                to_leaf=index,
                ended_by=why,
            )
        )


def _iccid(octets: bytes) -> str:
    """Cards have been seen with ICCIDs that hold other nibbles than digits."""
    try:
        return str(Iccid.from_octets(octets))
    except Malformed:
        return octets.hex().upper()


def _eim_digest(eim_id: str) -> bytes:
    return sha256(eim_id.encode()).digest()[:8]


def _scope(eim_id: str, leaf: Leaf) -> bytes:
    """A counter may begin anew with another token or another key (procedures §2.1), and then only."""
    token = leaf.association_token or 0
    rest = sha256((leaf.package_signer or b"") + b"%d" % token).digest()[:4]
    return _eim_digest(eim_id) + rest
