"""Executing a package: T2 start, T3 for each command, T4 end (euicc.md section 14).

The first command that does not succeed ends the package with its own result, or with processingTerminated
where none can be given. The counter is stored before the first command takes effect, so nothing is ever
executed twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.der import TOLERANT, tlv
from keim.errors import Malformed
from keim.euicc.isdr_state import Author, PackageJournal, StoredResult
from keim.euicc.packages.answers import signed_result
from keim.euicc.packages.eco_add_eim import add_eim
from keim.euicc.packages.eco_delete_eim import delete_eim
from keim.euicc.packages.eco_list_eim import list_eim
from keim.euicc.packages.eco_update_eim import update_eim
from keim.euicc.packages.psmo_configure_immediate_enable import configure_immediate_enable
from keim.euicc.packages.psmo_delete import delete
from keim.euicc.packages.psmo_disable import disable
from keim.euicc.packages.psmo_enable import enable
from keim.euicc.packages.psmo_get_rat import get_rat
from keim.euicc.packages.psmo_list_profile_info import list_profile_info
from keim.euicc.packages.psmo_set_default_dp_address import set_default_dp_address
from keim.euicc.packages.psmo_set_fallback_attribute import set_fallback_attribute
from keim.euicc.packages.psmo_unset_fallback_attribute import unset_fallback_attribute
from keim.euicc.packages.request import CommandList
from keim.euicc.packages.run import Command, Outcome, PackageRun
from keim.messages.package import AddEimResultCode, Eco, ProcessingTerminated, Psmo, UpdateEimResult

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState

PSMOS: Mapping[str, Command] = {
    "enable": enable,
    "disable": disable,
    "delete": delete,
    "list_profile_info": list_profile_info,
    "get_rat": get_rat,
    "configure_immediate_enable": configure_immediate_enable,
    "set_fallback_attribute": set_fallback_attribute,
    "unset_fallback_attribute": unset_fallback_attribute,
    "set_default_dp_address": set_default_dp_address,
}
ECOS: Mapping[str, Command] = {
    "add_eim": add_eim,
    "delete_eim": delete_eim,
    "update_eim": update_eim,
    "list_eim": list_eim,
}
ADD_EIM, UPDATE_EIM = 0xA8, 0xAA
LONGEST_RESULTS = 4096
"""Of all entries together (project)."""


def execute(context: CardContext, author: Author, package: CommandList) -> bytes:
    """The stored and signed result; a switch that the package marked follows after the response."""
    kind: type[Psmo] | type[Eco] = Psmo
    table, commands = PSMOS, package.psmo_list
    if commands is None:
        kind, table, commands = Eco, ECOS, package.eco_list or ()
    journal = PackageJournal(author=author, commands=len(commands))
    _start(context, journal)
    run = PackageRun(context, author)
    for octets in commands:
        run.state = context.state
        outcome = _run(run, kind, table, octets)
        results = journal.results + outcome.result
        if len(results) > LONGEST_RESULTS:
            results = journal.results + terminated(ProcessingTerminated.RESULT_SIZE_OVERFLOW)
            outcome = outcome._replace(is_success=False)
        journal = replace(
            journal, position=journal.position + 1, results=results, is_ended=not outcome.is_success
        )
        context.commit("package command", _with_journal(outcome.state, journal))
        if not outcome.is_success:
            break
    data = finish(context)
    if run.has_enabled or run.has_disabled:
        context.switch_after_response()
    return data


def terminated(reason: ProcessingTerminated) -> bytes:
    return tlv(0x02, bytes((int(reason),)))


def _start(context: CardContext, journal: PackageJournal) -> None:
    author = journal.author
    isdr = context.state.isdr
    eims = tuple(
        replace(eim, counter_value=author.counter_value) if eim.eim_id == author.eim_id else eim
        for eim in isdr.eims
    )
    context.commit("package start", replace(context.state, isdr=replace(isdr, eims=eims, journal=journal)))


def _run(
    run: PackageRun, kind: type[Psmo] | type[Eco], table: Mapping[str, Command], octets: bytes
) -> Outcome:
    try:
        command = kind.decode(octets, TOLERANT)
    except Malformed:
        return Outcome(_damaged(kind, octets), run.state, False)
    return table[command.kind](run, command.value)


def _damaged(kind: type[Psmo] | type[Eco], octets: bytes) -> bytes:
    """An eIM configuration that cannot be read has a code of its own: commandError(7)."""
    if kind is Eco and octets[0] == ADD_EIM:
        return tlv(0xA8, tlv(0x02, bytes((AddEimResultCode.COMMAND_ERROR,))))
    if kind is Eco and octets[0] == UPDATE_EIM:
        return tlv(0x8A, bytes((UpdateEimResult.COMMAND_ERROR,)))
    return terminated(ProcessingTerminated.UNKNOWN_OR_DAMAGED_COMMAND)


def _with_journal(state: CardState, journal: PackageJournal) -> CardState:
    return replace(state, isdr=replace(state.isdr, journal=journal))


def finish(context: CardContext) -> bytes:
    """T4: the journal becomes a signed result with a number; a granted rollback learns this number."""
    isdr = context.state.isdr
    journal = isdr.journal
    assert journal is not None  # called with an open journal only
    number = isdr.next_sequence_number
    data = signed_result(context, journal.author, number, journal.results)
    grant = isdr.rollback
    if grant is not None and grant.sequence_number == 0:
        grant = replace(grant, sequence_number=number)
    isdr = replace(
        isdr,
        next_sequence_number=number + 1,
        results=(*isdr.results, StoredResult(number, data)),
        journal=None,
        rollback=grant,
    )
    context.commit("package end", replace(context.state, isdr=isdr))
    return data


def recover(context: CardContext) -> None:
    """At boot: an open journal is closed, and the eIM learns from it how far the package came."""
    journal = context.state.isdr.journal
    if journal is None:
        return
    if not journal.is_ended and journal.position < journal.commands:
        results = journal.results + terminated(ProcessingTerminated.INTERRUPTION)
        closed = replace(journal, results=results, is_ended=True)
        # One transaction with its end would do as well; the journal stays readable if power fails again here.
        context.commit("package interrupted", _with_journal(context.state, closed))
    finish(context)
