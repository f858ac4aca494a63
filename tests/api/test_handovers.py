"""Hand-overs over the API: two eIMs and a device of our own, four eyes, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.api.cuts import cuts
from tests.api.desk import Desk
from tests.card_lab import EIM, NOW, signer_of
from tests.roles.handover_lab import NEW, HandoverLab, Side

from keim.api.handover_papers import PAPER
from keim.app.operators import ApiConfig, ApprovalsConfig
from keim.io.store.open import open_engine
from keim.pki.world import World, WorldPlan, create_world

MEMORY = (lambda: open_engine(":memory:"), lambda: open_engine(":memory:"))


class SideDesk(Desk):
    """The API of one side of a hand-over; the laboratory closes the side itself."""

    def __init__(self, side: Side, api: ApiConfig | None = None, pki: World | None = None) -> None:
        super().__init__(side, api=api, pki=pki, eim_id=side.eim.eim_id)  # type: ignore[arg-type]  # what a desk uses of it

    def close(self) -> None:
        self.site.run(self.client.aclose())

    def paper(self, path: str) -> bytes:
        answer = self.ask("GET", path, role="owner")
        assert answer.is_success, answer.text
        found: bytes = answer.content
        return found

    def send(self, path: str, paper: bytes) -> Any:
        answer = self.ask("POST", path, role="owner", content=paper, headers={"content-type": PAPER})
        assert answer.is_success, answer.text
        return answer.json()


def made(desk: Desk, path: str, body: object, **words: Any) -> Any:
    answer = desk.ask("POST", path, body, role="owner", **words)
    assert answer.is_success, answer.text
    return answer.json()


@cache
def new_pki() -> World:
    return create_world(WorldPlan(eim_address=NEW), now=NOW)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[HandoverLab]:
    lab = HandoverLab(2, tmp_path, MEMORY, new_key=signer_of(new_pki().get("eim-sign")))
    lab.prove_tokens()
    yield lab
    lab.close()


def desks(lab: HandoverLab, api: ApiConfig | None = None) -> tuple[SideDesk, SideDesk]:
    return SideDesk(lab.old, api), SideDesk(lab.new, pki=new_pki())


def planned(old: SideDesk, new: SideDesk) -> tuple[str, str]:
    """(the hand-over, the invitation)"""
    key = old.services.logs.signer_of("main").key.text
    invited = made(new, "/invitations", {"sender_key": key})
    body = {
        "invitation": invited["paper"],
        "key": new.services.logs.signer_of("main").key.text,
        "tag": "moving",
        "name": "spring",
    }
    return made(old, "/handovers", body)["id"], invited["id"]


def test_the_whole_way_over_the_api(lab: HandoverLab) -> None:
    old, new = desks(lab)
    id_, invitation = planned(old, new)
    told = made(old, f"/handovers/{id_}/rehearse", None)
    assert (told["devices"], told["blocked"]) == (2, 0)
    trial = old.paper(f"/handovers/{id_}/bundles/0")
    assert new.send(f"/invitations/{invitation}/bundles", trial)["is_rehearsal"]
    assert made(old, f"/handovers/{id_}/start", None)["devices"] == {"adding": 2}
    lab.call()
    assert made(old, f"/handovers/{id_}/continue", {})["moved"] == 2
    assert made(old, f"/handovers/{id_}/stop", None)["stopped_at"] is not None
    written = made(old, f"/handovers/{id_}/bundles", None)
    assert written == {"number": 1, "devices": 2}
    bundle = old.paper(f"/handovers/{id_}/bundles/1")
    assert bundle == old.paper(f"/handovers/{id_}/bundles/1")
    assert new.send(f"/invitations/{invitation}/bundles", bundle)["refused"] == {}
    for _ in range(3):
        lab.call()
        receipt = new.paper(f"/invitations/{invitation}/receipts/1")
        assert old.send(f"/handovers/{id_}/receipts", receipt)["unproved"] == {}
    shown = old.get(f"/handovers/{id_}", role="owner")
    assert (shown["to"], shown["devices"]) == (NEW, {"left": 2})
    arrived = new.get(f"/invitations/{invitation}/devices", role="owner")["items"]
    assert [row["step"] for row in arrived] == ["done", "done"]
    assert new.get(f"/invitations/{invitation}", role="owner")["old_eim_id"] == EIM
    assert old.get("/handovers", role="owner")["items"][0]["id"] == id_
    page = old.get(f"/handovers/{id_}/devices?limit=1", role="owner")
    rest = old.get(f"/handovers/{id_}/devices?cursor={page['next']}", role="owner")
    assert len(page["items"]) == len(rest["items"]) == 1


def test_a_hand_over_waits_for_a_second_person_where_that_is_asked_for(lab: HandoverLab) -> None:
    old, new = desks(lab, ApiConfig(approvals=ApprovalsConfig(kinds=("handover",))))
    id_, _ = planned(old, new)
    waiting = made(old, f"/handovers/{id_}/start", None)
    assert waiting["started_at"] is None
    assert waiting["devices"] == {"planned": 2}
    approval = old.get(f"/approvals/{waiting['approval']}", role="owner")
    assert approval["summary"] == f"hand 2 devices over to {NEW}"
    answer = old.ask("POST", f"/approvals/{waiting['approval']}/approve", {"reason": "ok"}, role="approver")
    assert answer.is_success, answer.text
    assert old.get(f"/handovers/{id_}", role="owner")["started_at"] is not None
    assert made(old, f"/handovers/{id_}/continue", {})["moved"] == 2


def test_no_cut_leaves_an_approval_without_the_start(
    lab: HandoverLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = desks(lab, ApiConfig(approvals=ApprovalsConfig(kinds=("handover",))))
    id_, _ = planned(old, new)
    approval = made(old, f"/handovers/{id_}/start", None)["approval"]
    token, states = old.token("approver"), []
    for cut in cuts(old, monkeypatch):
        with cut:
            answer = old.ask("POST", f"/approvals/{approval}/approve", {}, token=token)
        states.append(
            (
                old.get(f"/approvals/{approval}", role="owner")["state"],
                old.get(f"/handovers/{id_}", role="owner")["started_at"] is not None,
            )
        )
        if answer.is_success:
            break
    assert set(states[:-1]) == {("waiting", False)}
    assert states[-1] == ("approved", True)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/handovers", {"invitation": "{}", "key": "x"}, "audit.bad_log_key"),
        ("/handovers/spring/continue", {}, "handover.not_started"),
        ("/handovers/spring/bundles", None, "handover.nothing_to_bundle"),
        ("/handovers/never/start", None, "handover.not_found"),
        ("/invitations", {"sender_key": "x"}, "audit.bad_log_key"),
        ("/invitations", {"days": 0}, "api.invalid_request"),
        ("/handovers", {"invitation": "{}", "key": "x", "eids": [], "tag": "x"}, "api.invalid_request"),
    ],
)
def test_requests_without_sense_are_refused(lab: HandoverLab, path: str, body: object, code: str) -> None:
    old, new = desks(lab)
    planned(old, new)
    answer = old.ask("POST", path, body, role="owner")
    assert answer.json()["code"] == code
    assert old.get("/handovers/spring", role="owner")["devices"] == {"planned": 2}


def test_who_may_only_read_starts_nothing(lab: HandoverLab) -> None:
    old, new = desks(lab)
    id_, invitation = planned(old, new)
    for verb in ("start", "rehearse", "bundles"):
        assert old.ask("POST", f"/handovers/{id_}/{verb}", role="viewer").status_code == 403
    assert new.ask("POST", "/invitations", {}, role="viewer").status_code == 403
    assert new.ask("GET", f"/invitations/{invitation}/receipts/1", role="viewer").status_code == 403
