"""Signed notes and checkpoints, against the published example of the format and against their own rules."""

from __future__ import annotations

import pytest
from tests.unit.audit.audit_world import ORIGIN, log_signer

from keim.audit.checkpoint import Checkpoint
from keim.audit.note import NoteKey, open_note, sign_note, split_note
from keim.audit.tree import Edge, leaf_hash
from keim.errors import BadSignature, Malformed, Refused

# The example of the documentation of Go's package golang.org/x/mod/sumdb/note, where the format comes from.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb"
    "6KE6RyyBwJnAM=\n"
)


def test_a_note_that_go_signed_is_opened() -> None:
    key = NoteKey.from_text(GO_KEY)
    assert key.name == "PeterNeumann"
    assert key.text == GO_KEY
    assert open_note(GO_NOTE.encode(), key).endswith("what your problem is.\n")


def test_a_note_is_opened_by_the_key_that_signed_it_and_no_other() -> None:
    note = sign_note("one\ntwo\n", log_signer()).encode()
    assert open_note(note, log_signer().key) == "one\ntwo\n"
    for other in (log_signer(seed=2), log_signer("other.example.com")):
        with pytest.raises(BadSignature):
            open_note(note, other.key)


def test_signatures_of_witnesses_do_not_disturb() -> None:
    note = sign_note("text\n", log_signer("witness.example.com", 9), log_signer()).encode()
    assert open_note(note, log_signer().key) == "text\n"
    assert len(split_note(note)[1]) == 2


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xff\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\nname AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 na me AAAAAAAA\n",
        b"x" * 70_000 + b"\n\n\n",
    ],
)
def test_what_is_no_note_is_malformed(note: bytes) -> None:
    with pytest.raises(Malformed):
        open_note(note, log_signer().key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AAAA",
        GO_KEY.replace("c74f", "c74e"),
        GO_KEY + "x",
        GO_KEY.replace("Peter", "Paul"),
        GO_KEY.replace("+ARpc", "+Axpc"),
    ],
)
def test_what_is_no_key_of_a_log_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        NoteKey.from_text(text)


def test_a_checkpoint_says_who_how_many_and_what() -> None:
    point = Checkpoint.of(ORIGIN, Edge().append(leaf_hash(b"a"), leaf_hash(b"b")))
    assert point.text.split("\n")[:2] == [ORIGIN, "2"]
    assert Checkpoint.opened(point.signed(log_signer()), log_signer().key) == point


def test_extension_lines_are_read_over_and_stay_signed() -> None:
    point = Checkpoint.of(ORIGIN, Edge().append(leaf_hash(b"a")))
    note = sign_note(point.text + "more\n", log_signer()).encode()
    assert Checkpoint.opened(note, log_signer().key) == point
    with pytest.raises(BadSignature):
        Checkpoint.opened(note.replace(b"more", b"less"), log_signer().key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n",
        "origin\n1\n",
        "origin\n01\n{}\n",
        "origin\n-1\n{}\n",
        "\n1\n{}\n",
        "origin\n1\nAAAA\n",
        "origin\n0\n{}\n",
        "origin\n\u0661\n{}\n",
        "origin\n99999999999999999999\n{}\n",
        pytest.param(f"origin\n{'9' * 5000}\n{{}}\n", id="thousands of digits"),
    ],
)
def test_what_is_no_checkpoint_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Checkpoint.from_text(text.format("A" * 43 + "="))
