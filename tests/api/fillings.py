"""How the walks of the whole API come by an id for each parameter of a path: one line for each.

A filling makes such a thing for a tenant (through the API where that is possible) and returns its id. A route
whose parameter has no line here fails the walk: add one when you add a noun.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.api.desk import Desk
from tests.card_lab import configuration

from keim.api.approvals import Held, acts_on
from keim.api.context import Services
from keim.api.handover_papers import PAPER
from keim.app.handover.papers import signed, write_invitation
from keim.audit.note import NoteSigner
from keim.eim.change import Change
from keim.eim.facts import Context, Facts
from keim.eim.handover.papers import BundleHeader, written
from keim.eim.handover.rows import Invitation, Remover
from keim.eim.picture import ProfileInstalled
from keim.io.api_store.rows import Approval
from keim.io.eim_store.store import Beside
from keim.pki.world import example_eids

Filling = Callable[[Desk, str], str]


def made(desk: Desk, tenant: str, path: str, body: object, member: str = "id") -> str:
    answer = desk.ask("POST", path, body, role="owner", tenant=tenant)
    assert answer.is_success, answer.text
    return str(answer.json()[member])


def approval(desk: Desk, tenant: str) -> str:
    acts_on("walk", Held(_nothing, _nothing))
    return desk.wait_for_approval("walk", "x", token=desk.token("owner", tenant=tenant))


async def _nothing(services: Services, approval: Approval, beside: Beside) -> None:
    await services.store.keep(beside, tenant=approval.tenant)


def webhook(desk: Desk, tenant: str) -> str:
    return made(desk, tenant, "/webhooks", {"url": "https://hooks.example.com/keim"})


def product(desk: Desk, tenant: str) -> str:
    if desk.ask("GET", "/catalogue/walk", role="owner", tenant=tenant).is_success:
        return "walk"
    return made(desk, tenant, "/catalogue", {"name": "walk"}, "name")


def code(desk: Desk, tenant: str) -> str:
    path = f"/catalogue/{product(desk, tenant)}/codes"
    made(desk, tenant, path, {"codes": [{"activation_code": "1$smdp.example.com$WALK"}]}, "added")
    return str(desk.get(path, role="owner", tenant=tenant)["items"][0]["id"])


def device(desk: Desk, tenant: str) -> str:
    """With a profile and an operation; the same one again, and active, whatever a walk has made of it."""
    eid = str(example_eids(3)[1 if tenant == "main" else 2])
    path = f"/devices/{eid}"
    found = desk.ask("GET", path, role="owner", tenant=tenant)
    if found.status_code == 404:
        made(desk, tenant, "/devices", {"eid": eid}, "eid")
        desk.site.run(_installed(desk, eid))
    elif found.json()["state"] != "active":
        let_in = desk.ask("PATCH", path, {"state": "active"}, role="owner", tenant=tenant)
        assert let_in.is_success, let_in.text
    return eid


async def _installed(desk: Desk, eid: str) -> None:
    row = await desk.services.store.device(eid)
    assert row is not None
    change = Change(
        desk.services.eim.eim,
        Facts(device=row),
        Context(desk.services.clock.now(), desk.services.entropy),
        row,
    )
    change.effect(ProfileInstalled(iccid=ICCIDS[row.tenant == "main"]), is_proved=True)
    await desk.services.store.commit(change.decision(None))


def iccid(desk: Desk, tenant: str) -> str:
    device(desk, tenant)
    return ICCIDS[tenant == "main"]


def operation(desk: Desk, tenant: str) -> str:
    asked = {"eid": device(desk, tenant), "commands": [{"command": "list_profiles"}]}
    return made(desk, tenant, "/operations", asked)


def saved_filter(desk: Desk, tenant: str) -> str:
    if desk.ask("GET", "/filters/walk", role="owner", tenant=tenant).is_success:
        return "walk"
    return made(desk, tenant, "/filters", {"name": "walk", "filter": {"tags": ["walk"]}}, "name")


def leaf(desk: Desk, tenant: str) -> str:
    """The last one, covered by a checkpoint: others' logs are shorter."""
    for _ in range(20):
        operation(desk, tenant)
    desk.site.run(desk.services.logs.publisher.publish(tenant))
    return str(desk.site.run(desk.services.logs.of(tenant).size()) - 1)


def handover(desk: Desk, tenant: str) -> str:
    """A plan for the tenant's device, with an invitation that somebody else signed."""
    device(desk, tenant)
    if desk.ask("GET", "/handovers/walk", role="owner", tenant=tenant).is_success:
        return "walk"
    signer = NoteSigner.new("new.example.org/audit")
    invitation = Invitation(
        id="0" * 32,
        eim_id="new.example.org",
        entry=configuration("new.example.org").encode(),
        log_key=signer.key.text,
        expires_at=desk.services.clock.now() + timedelta(days=1),
    )
    body = {
        "invitation": write_invitation(invitation, signer).decode(),
        "key": signer.key.text,
        "name": "walk",
    }
    return made(desk, tenant, "/handovers", body)


def invitation(desk: Desk, tenant: str) -> str:
    """With a bundle that was taken, of no devices."""
    signer = NoteSigner.new("old.example.org/audit")
    id_ = made(desk, tenant, "/invitations", {"sender_key": signer.key.text})
    header = BundleHeader(
        handover="walk",
        number=1,
        invitation=id_,
        sender="old.example.org",
        receiver=desk.services.eim.eim.eim_id,
        log_key=signer.key.text,
        made_at=desk.services.clock.now(),
        remover=Remover.NEW,
        devices=0,
    )
    answer = desk.ask(
        "POST",
        f"/invitations/{id_}/bundles",
        role="owner",
        tenant=tenant,
        content=signed(written(header), signer),
        headers={"content-type": PAPER},
    )
    assert answer.is_success, answer.text
    return id_


ICCIDS = ("8944501112345678907", "8944501112345678915")
FILLINGS: dict[str, Filling] = {
    "eid": device,
    "iccid": iccid,
    "operation_id": operation,
    "filter_name": saved_filter,
    "leaf_index": leaf,
    "token_id": lambda desk, tenant: made(desk, tenant, "/tokens", {"name": "walk", "role": "viewer"}),
    "tenant_name": lambda desk, tenant: desk.tenant(tenant),
    "approval_id": approval,
    "webhook_id": webhook,
    "handover_id": handover,
    "bundle_number": lambda desk, tenant: "0",
    "invitation_id": invitation,
    "taken_number": lambda desk, tenant: "1",
    "product": product,
    "code_id": code,
    "delivery_id": lambda desk, tenant: "1",
}


def example_of(schema: dict[str, Any], document: dict[str, Any], ids: dict[str, str]) -> Any:
    """A value as the OpenAPI shows one; members that name somebody's id get that id."""
    if "$ref" in schema:
        found = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return example_of(found, document, ids)
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema and "examples" not in schema:
            return example_of(schema[name][0], document, ids)
    if schema.get("type") == "object" and "properties" in schema:
        required = set(schema.get("required", ()))
        members = schema["properties"].items()
        chosen = {name: of for name, of in members if name in required or _id_named(name, ids)}
        return {name: _member(name, of, document, ids) for name, of in chosen.items()}
    for name in ("examples", "enum"):
        if name in schema:
            return schema[name][0]
    if "const" in schema or "default" in schema:
        return schema.get("const", schema.get("default"))
    if schema.get("type") == "array":
        return [example_of(schema["items"], document, ids)] if schema.get("minItems", 0) else []
    simple = {"string": "x", "integer": schema.get("minimum", 1), "number": 1, "boolean": True, "null": None}
    return simple.get(schema.get("type", ""), {})


def _id_named(name: str, ids: dict[str, str]) -> str | None:
    return ids.get(name, ids.get(name.removesuffix("s")))


def _member(name: str, schema: dict[str, Any], document: dict[str, Any], ids: dict[str, str]) -> Any:
    id_ = _id_named(name, ids)
    if id_ is None:
        return example_of(schema, document, ids)
    return [id_] if name not in ids else id_
