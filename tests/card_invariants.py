"""What must hold of a card at any time, and what must hold after a boot (euicc.md sections 3 and 14)."""

from __future__ import annotations

from keim.der import read_tlv, walk
from keim.euicc.card import Card
from keim.euicc.isdr.profiles import metadata_of
from keim.euicc.platform import file_system_of
from keim.euicc.state import CardState
from keim.messages.notification import ProfileInstallationResult
from keim.messages.package import EuiccPackageResult


def check(card: Card) -> None:
    """Every invariant that holds between any two APDUs."""
    state, isdr = card.state, card.state.isdr
    assert sum(profile.is_enabled for profile in state.profiles) <= 1
    aids = [profile.aid for profile in state.profiles]
    iccids = [profile.iccid for profile in state.profiles]
    assert len(set(aids)) == len(aids)
    assert len(set(iccids)) == len(iccids)
    enabled = state.enabled_profile
    if enabled is not None:
        assert file_system_of(enabled.package).mf is not None
    numbers = [n.sequence_number for n in isdr.notifications] + [r.sequence_number for r in isdr.results]
    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < isdr.next_sequence_number for number in numbers)
    assert [n.sequence_number for n in isdr.notifications] == sorted(
        n.sequence_number for n in isdr.notifications
    )
    assert sum(profile.charge for profile in state.profiles) <= card.identity.options.memory_octets
    _check_links(state, aids)
    assert isdr.journal is None
    assert len({eim.eim_id for eim in isdr.eims}) == len(isdr.eims)
    assert all(0 <= eim.counter_value <= 0x7FFFFF for eim in isdr.eims)
    assert len({r.sequence_number for r in isdr.results}) == len(isdr.results)


def _check_links(state: CardState, aids: list[bytes]) -> None:
    isdr = state.isdr
    links = isdr.links
    for link in (links.fallback_return, links.emergency_return, links.test_return, isdr.fallback_profile):
        assert link == b"" or link in aids
    if isdr.rollback is not None:
        assert isdr.rollback.previous in aids
        assert isdr.rollback.sequence_number in {r.sequence_number for r in isdr.results}
    holder = state.profile(isdr.fallback_profile)
    assert holder is None or metadata_of(holder).fallback_allowed
    if links.is_emergency and isdr.marks is None:
        enabled = state.enabled_profile
        assert enabled is not None
        assert metadata_of(enabled).ecall_indication


def check_after_boot(card: Card) -> None:
    check(card)
    assert card.state.isdr.marks is None
    assert card.state.isdr.staging is None
    assert card.volatile.rsp is None


def never_back(before: CardState, after: CardState) -> None:
    """What never falls, whatever happens in between."""
    assert after.isdr.next_sequence_number >= before.isdr.next_sequence_number
    assert after.isdr.last_association_token >= before.isdr.last_association_token


def executed_counters(state: CardState) -> list[tuple[str, int]]:
    """(eimId, counterValue) of the stored results."""
    found = []
    for stored in state.isdr.results:
        signed = EuiccPackageResult.decode(stored.data).euicc_package_result_signed
        assert signed is not None
        data = signed.euicc_package_result_data_signed
        found.append((data.eim_id, data.counter_value))
    return found


def installed_aids(state: CardState) -> set[bytes]:
    """ISD-Ps that a stored installation result says were made."""
    found = set()
    for notification in state.isdr.notifications:
        if not notification.data.startswith(b"\xbf\x37"):
            continue
        result = ProfileInstallationResult.decode(notification.data).profile_installation_result_data
        if result.final_result.success_result is not None:
            found.add(result.final_result.success_result.aid)
    return found


def entries_of(package_result: bytes) -> list[bytes]:
    """The entries of euiccResult as octets."""
    position = read_tlv(package_result, read_tlv(package_result).content).content
    data = read_tlv(package_result, position)
    *_, last = walk(package_result, data.content, data.end)
    return [package_result[e.start : e.end] for e in walk(package_result, last.content, last.end)]
