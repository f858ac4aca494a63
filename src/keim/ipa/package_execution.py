"""An eUICC package, from its arrival to the removal of its result (procedures §5.1, SGP.32 §3.3.1).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from keim.der import RELAY
from keim.errors import Malformed, Refused
from keim.ipa.card import CARD_ERRORS, STATUSES_WITHOUT_SESSION, CardRefused, recover
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import load_euicc_package, retrieve_results
from keim.ipa.esipa import Retry
from keim.ipa.events import PackageExecuted
from keim.ipa.initialise import read_eims
from keim.ipa.notifications import pending_for
from keim.ipa.result_delivery import deliver, deliver_unstored, offer_of
from keim.ipa.results import (
    changes_eims,
    changes_profile,
    changes_profiles,
    data_of,
    has_ecos,
    is_of_package,
    sequence_number_of,
)
from keim.ipa.rollback import deliver_or_roll_back
from keim.ipa.switch import settle_switch
from keim.messages.esipa import (
    EimPackageResult,
    EimPackageResultErrorCode,
    EimPackageResultResponseError,
    StateChangeCause,
)
from keim.messages.package import EimConfigurationData, EuiccPackageRequest, EuiccPackageResult

STATUS_OF_BAD_PACKAGE = 0x6A80
STATUSES_OF_UNKNOWN_FUNCTION = (0x6A88, 0x6D00, 0x6E00)


def execute_package(ipa: Ipa, entry: EimConfigurationData, package: bytes) -> Procedure[None]:
    """Steps 3 to 17; `package` are the octets of the eIM."""
    outcome = yield from load(ipa, package)  # 3
    if isinstance(outcome, EimPackageResultErrorCode):
        yield from ipa.tell(PackageExecuted(entry.eim_id, f"refused {outcome.name.lower()}"))
        yield from refuse_package(ipa, entry, transaction_id_of(package), outcome)
        return
    yield from note_execution(ipa, entry, outcome)
    if data_of(outcome) is None:
        # Errors have no number and are not stored (procedures §2.4): ours until they are delivered.
        yield from deliver_unstored(ipa, entry, EimPackageResult(euicc_package_result=outcome))
    elif changes_profile(outcome):  # 8
        connected = yield from settle_switch(ipa, "package")  # 10
        yield from deliver_or_roll_back(ipa, entry, outcome, connected=connected)  # 9, 11-17
    elif has_ecos(outcome):
        yield from deliver(ipa, entry, offer_of(outcome, ()), Retry.usual(ipa))
    else:
        notifications = yield from pending_for(ipa, entry.eim_id)  # 9
        yield from deliver(ipa, entry, offer_of(outcome, notifications), Retry.usual(ipa))  # 11-17
    if changes_eims(outcome):
        yield from read_eims(ipa)


def load(ipa: Ipa, package: bytes) -> Procedure[EuiccPackageResult | EimPackageResultErrorCode]:
    """The package to the card, the same octets once; after a silent card its stored result is looked for."""
    try:
        return (yield from load_euicc_package(ipa, package))
    except Refused:
        return EimPackageResultErrorCode.UNDEFINED_ERROR  # longer than a chain of STORE DATA can be
    except CARD_ERRORS as failure:
        if isinstance(failure, CardRefused) and failure.status not in STATUSES_WITHOUT_SESSION:
            return _code_of(failure)
        yield from recover(ipa, str(failure))
    found = yield from _stored_result_of(ipa, package)
    if found is not None:
        return found
    # It was not executed: a replayed counter would be refused by the card in any case.
    try:
        return (yield from load_euicc_package(ipa, package))
    except CardRefused as refusal:
        return _code_of(refusal)
    except CARD_ERRORS as failure:
        yield from recover(ipa, str(failure))
        found = yield from _stored_result_of(ipa, package)
        return EimPackageResultErrorCode.UNDEFINED_ERROR if found is None else found


def _code_of(refusal: CardRefused) -> EimPackageResultErrorCode:
    """A status word instead of BF51 (procedures §4.5)."""
    if refusal.status == STATUS_OF_BAD_PACKAGE:
        return EimPackageResultErrorCode.INVALID_PACKAGE_FORMAT
    if refusal.status in STATUSES_OF_UNKNOWN_FUNCTION:
        return EimPackageResultErrorCode.UNKNOWN_PACKAGE
    return EimPackageResultErrorCode.UNDEFINED_ERROR


def _stored_result_of(ipa: Ipa, package: bytes) -> Procedure[EuiccPackageResult | None]:
    """The newest result of this package (same eimId and counterValue) in the card's list."""
    try:
        signed = EuiccPackageRequest.decode(package, RELAY).euicc_package_signed
    except Malformed:
        return None
    results = yield from retrieve_results(ipa)
    own = [result for result in results if is_of_package(result, signed.eim_id, signed.counter_value)]
    return max(own, key=lambda result: sequence_number_of(result) or 0, default=None)


def transaction_id_of(package: bytes) -> bytes | None:
    """eimTransactionId as far as it can be read, for error answers (procedures §4.5)."""
    try:
        return EuiccPackageRequest.decode(package, RELAY).euicc_package_signed.eim_transaction_id
    except Malformed:
        return None


def note_execution(ipa: Ipa, entry: EimConfigurationData, outcome: EuiccPackageResult) -> Procedure[None]:
    """What the others must learn: cause otherEim(0) for every eIM but the author (procedures §17)."""
    number = sequence_number_of(outcome)
    words = {
        "euicc_package_result_signed": "results",
        "euicc_package_error_signed": "error_signed",
        "euicc_package_error_unsigned": "error_unsigned",
    }
    word = words.get(outcome.kind, outcome.kind)
    yield from ipa.tell(PackageExecuted(entry.eim_id, word, number, changes_profile(outcome)))
    yield from note_change(ipa, entry.eim_id, outcome)


def note_change(ipa: Ipa, eim_id: str, outcome: EuiccPackageResult) -> Procedure[None]:
    """Once for each result, also for one that is found in the card after a power cut."""
    number = sequence_number_of(outcome)
    if number is None or number <= ipa.memory.causes_noted_up_to:
        return
    if changes_profiles(outcome) or changes_eims(outcome):
        yield from ipa.note_cause(StateChangeCause.OTHER_EIM, besides=(eim_id,))
        yield from ipa.remember(causes_noted_up_to=number)


def refuse_package(
    ipa: Ipa, entry: EimConfigurationData, transaction_id: bytes | None, code: EimPackageResultErrorCode
) -> Procedure[None]:
    """EimPackageResultResponseError: the package could not be processed by the IPA."""
    error = EimPackageResultResponseError(
        eim_transaction_id=transaction_id, eim_package_result_error_code=code
    )
    yield from deliver_unstored(ipa, entry, EimPackageResult(eim_package_result_response_error=error))
