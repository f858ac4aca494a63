"""The JSON lines of lpac's stdio driver, without a process."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from tests.e2e import lpac_client
from tests.unit.euicc.cards import ISD_R, new_card

from keim.errors import Unreachable
from keim.euicc.card import Card
from keim.euicc.faults import Faults
from keim.io.lpac_stdio import LpacSession, serve_command, serve_lines


def ask(session: LpacSession, func: str, param: str | None = None) -> tuple[int, str]:
    answer = session.answer({"func": func, "param": param})
    return answer["ecode"], answer.get("data", "")


def test_a_session_opens_a_channel_transmits_and_closes() -> None:
    session = LpacSession(new_card("iot-2-auth"))
    assert ask(session, "connect") == (0, "")
    assert ask(session, "logic_channel_open", ISD_R) == (1, "")
    assert ask(session, "transmit", "81e2910006bf3e035c015a") == (0, "6115")
    code, data = ask(session, "transmit", "81c0000015")
    assert code == 0
    assert data.startswith("bf3e")
    assert ask(session, "logic_channel_close", "01") == (0, "")
    assert ask(session, "logic_channel_close", "01") == (-1, "")
    assert ask(session, "disconnect") == (0, "")


def test_an_application_that_is_not_there_leaves_no_channel_open() -> None:
    session = LpacSession(new_card("iot-2-auth"))
    assert [ask(session, "logic_channel_open", "a0000000990102") for _ in range(5)] == [(-1, "")] * 5
    assert ask(session, "logic_channel_open", ISD_R) == (1, "")


def test_all_channels_taken_is_a_failure() -> None:
    session = LpacSession(new_card())
    assert [ask(session, "logic_channel_open", ISD_R)[0] for _ in range(4)] == [1, 2, 3, -1]


def test_channels_above_three_are_selected_with_their_own_class() -> None:
    session = LpacSession(new_card(channels=20))
    assert [ask(session, "logic_channel_open", ISD_R)[0] for _ in range(20)] == [*range(1, 20), -1]


@pytest.mark.parametrize("payload", [None, 1, [], {}, {"func": None}, {"func": "fly"}])
def test_requests_that_make_no_sense_fail(payload: Any) -> None:
    assert LpacSession(new_card()).answer(payload) == {"ecode": -1}


def test_a_card_that_lost_its_power_fails_the_request_and_boots_at_the_next() -> None:
    card = new_card("iot-2-auth")
    session = LpacSession(card)
    card.faults = Faults(cut_at_apdu=0)
    assert ask(session, "transmit", "0084000002") == (-1, "")
    assert ask(session, "transmit", "0070000001") == (0, "019000")


def test_lines_of_another_kind_go_to_the_others() -> None:
    answers: list[str] = []
    others: list[str] = []
    lines = ['{"type":"apdu","payload":{"func":"connect"}}\n', "hello\n", '{"type":"lpa"}\n', "[1]\n"]
    serve_lines(new_card(), lines, answers.append, others.append)
    assert [json.loads(line) for line in answers] == [{"type": "apdu", "payload": {"ecode": 0}}]
    assert others == lines[1:]


def test_a_command_is_served_through_its_own_pipes() -> None:
    said: list[str] = []
    card: Card = new_card("iot-2-auth")
    assert serve_command(card, [sys.executable, lpac_client.__file__], said.append) == 0
    assert json.loads(said[-1])["type"] == "lpa"
    assert serve_command(card, ["/bin/sh", "-c", "exit 5"], said.append) == 5
    with pytest.raises(Unreachable) as refused:
        serve_command(card, ["/nowhere/lpac"], said.append)
    assert refused.value.code == "euicc.client_not_started"


def test_a_client_that_does_not_wait_for_its_answer_does_no_harm() -> None:
    ask_and_go = """echo '{"type":"apdu","payload":{"func":"connect"}}'; exec 0<&-; exit 3"""
    assert serve_command(new_card(), ["/bin/sh", "-c", ask_and_go], lambda line: None) == 3
    ask_often_and_go = """exec 0<&-
        for i in 1 2 3 4 5 6 7 8 9; do echo '{"type":"apdu","payload":{"func":"connect"}}'; done; exit 4"""
    assert serve_command(new_card(), ["/bin/sh", "-c", ask_often_and_go], lambda line: None) == 4


def test_what_a_client_says_need_not_be_text() -> None:
    said: list[str] = []
    assert serve_command(new_card(), ["/bin/sh", "-c", r"printf '\377\376\n'; exit 6"], said.append) == 6
    assert said == ["\ufffd\ufffd\n"]
