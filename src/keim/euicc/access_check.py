"""Whether a command may touch a file: the record of EF.ARR that the file names, against the PINs verified."""

from __future__ import annotations

from functools import lru_cache

from keim.errors import Malformed
from keim.euicc.context import Access
from keim.euicc.filesystem import DEACTIVATED, MASTER_FILE, Files
from keim.euicc.pins import is_satisfied
from keim.euicc.status import REFERENCE_DATA_INVALIDATED, SECURITY_NOT_SATISFIED, StatusError
from keim.saip.access import AccessEntry, Condition, parse_rule
from keim.saip.filesystem import Ef, Key

READ, UPDATE, DEACTIVATE, ACTIVATE, DELETE = 0x01, 0x02, 0x08, 0x10, 0x40
INCREASE_INSTRUCTION = 0x32
USABLE_WHEN_DEACTIVATED = 0x40


def require(files: Files, key: Key, mode: int, instruction: int | None = None) -> None:
    """6982 unless the rule of the file allows `mode` now; 6984 for a deactivated file."""
    if mode in {READ, UPDATE} and files.life_cycle(key) == DEACTIVATED:
        special = files.ef(key).special
        if not special & USABLE_WHEN_DEACTIVATED:
            raise StatusError(REFERENCE_DATA_INVALIDATED)
    if not _is_allowed(files, key, mode, instruction):
        raise StatusError(SECURITY_NOT_SATISFIED)


def _is_allowed(files: Files, key: Key, mode: int, instruction: int | None) -> bool:
    entries = _entries(rule_of(files, key))
    named = [entry for entry in entries if instruction is not None and instruction in entry.instructions]
    chosen = named or [entry for entry in entries if entry.mode & mode]
    access = files.context.remote_access(key)
    if access is not None:
        return any(_is_granted(access, entry.condition) for entry in chosen)
    directory = key[:-1] if len(key) > 1 else key
    return any(_holds(files, directory, entry.condition) for entry in chosen)


def _is_granted(access: Access, condition: Condition) -> bool:
    """Over the air: full access satisfies everything but NEVER."""
    if condition.is_always or (access.is_full and not condition.is_never):
        return True
    if condition.reference is not None:
        return condition.reference in access.references
    if condition.any_of:
        return any(_is_granted(access, part) for part in condition.any_of)
    return bool(condition.all_of) and all(_is_granted(access, part) for part in condition.all_of)


def _holds(files: Files, directory: Key, condition: Condition) -> bool:
    if condition.is_always:
        return True
    if condition.reference is not None:
        return is_satisfied(files, directory, condition.reference)
    if condition.any_of:
        return any(_holds(files, directory, part) for part in condition.any_of)
    return bool(condition.all_of) and all(_holds(files, directory, part) for part in condition.all_of)


@lru_cache(maxsize=512)
def _entries(record: bytes) -> tuple[AccessEntry, ...]:
    """A record that is no rule allows nothing."""
    try:
        return parse_rule(record)
    except Malformed:
        return ()


def rule_of(files: Files, key: Key) -> bytes:
    """The access-rule record as it is now; EF.ARR itself may have been updated."""
    found = files.node(key)
    if found is None or len(found.rule) != 3:
        return b""
    fid, number = int.from_bytes(found.rule[:2], "big"), found.rule[2]
    for depth in range(len(key), -1, -1):
        holder = (*key[:depth], fid) if depth else (*MASTER_FILE, fid)
        rules = files.node(holder)
        if isinstance(rules, Ef) and rules.record_length:
            return files.record(holder, number) if 1 <= number <= rules.records else b""
    return b""
