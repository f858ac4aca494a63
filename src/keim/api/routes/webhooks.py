"""`/v1/webhooks`: events to receivers over HTTPS, signed; what was delivered, and once more."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from keim.api.access import Admin, Operator, Reader
from keim.api.context import Served
from keim.api.etags import IfMatch, check_match, etag_of
from keim.api.models import Asked, Moment, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number_position, text_position
from keim.eim.webhooks.rows import Progress, Webhook, WebhookState

router = APIRouter(tags=["webhooks"])

WebhookId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["5f0c1d2e3a4b5c6d"])]
DeliveryId = Annotated[int, Path(ge=1, lt=1 << 62, examples=[17])]
Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://hooks.example.com/keim"])]
Types = Annotated[
    list[str],
    Field(
        max_length=50,
        description="Kinds of events, `result_*` for several; empty: all.",
        examples=[["result_received", "alarm_*"]],
    ),
]
Tags = Annotated[
    list[str],
    Field(
        max_length=50,
        description="Only events of devices that carry one of these; empty: all events.",
        examples=[["site=berlin"]],
    ),
]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["billing"])]


class NewWebhook(Asked):
    url: Url
    types: Types = Field([])
    tags: Tags = Field([])
    description: Text = ""


class ChangedWebhook(Asked):
    """What is absent stays as it is."""

    url: Url | None = None
    types: Types | None = None
    tags: Tags | None = None
    description: Text | None = None


class Resumption(Asked):
    begin: Literal["where_it_stopped", "now"] | None = Field(
        None, alias="from", description="`now` skips what has happened meanwhile. Default: where it stopped."
    )
    after: int | None = Field(
        None, ge=-1, lt=1 << 62, description="The number of an event: everything after it is sent (again)."
    )


class ShownWebhook(Shown):
    id: str
    url: str
    description: str
    types: list[str]
    tags: list[str]
    state: WebhookState
    reason: str = Field(description="Why it is paused.")
    created_at: Moment
    after: int = Field(description="The last event that was delivered or passed over.")
    attempts: int = Field(description="Failed attempts at the event that comes next.")
    next_attempt_at: Moment | None
    failing_since: Moment | None
    signs_with_both_until: Moment | None = Field(description="After a rotation of the secret.")


class MadeWebhook(ShownWebhook):
    secret: str = Field(description="What messages are signed with. It is shown this once.")


class ShownDelivery(Shown):
    id: int
    event_id: str
    type: str
    cause: str = Field(description="`event`, `resend` or `test`.")
    at: Moment
    attempt: int
    milliseconds: int
    has_succeeded: bool
    status: int | None = Field(description="Of the receiver's answer; null when none came.")
    error: str = Field(description="The code of what went wrong when no answer came.")


@router.post("/webhooks", status_code=201)
async def create_webhook(
    asked: NewWebhook, caller: Admin, services: Served, response: Response
) -> MadeWebhook:
    """Send events to a receiver, from the next one on. The answer holds the secret, this once."""
    webhook, progress, secret = await services.webhooks.people.create(
        caller.tenant,
        asked.url,
        types=asked.types,
        tags=asked.tags,
        description=asked.description,
        actor=caller.actor,
    )
    response.headers["Location"] = f"/v1/webhooks/{webhook.id}"
    response.headers["Cache-Control"] = "no-store"
    response.headers["ETag"] = etag_of(webhook.version)
    return MadeWebhook(**_shown(webhook, progress).model_dump(), secret=secret)


@router.get("/webhooks")
async def list_webhooks(
    caller: Reader, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownWebhook]:
    """The webhooks of your tenant, with how far each has come."""
    after = text_position(cursor, "webhooks")
    rows = await services.webhooks.people.store.of_tenant(caller.tenant, after=after, limit=limit + 1)
    items = [_shown(*row) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("webhooks", items[-1].id) if len(rows) > limit else None)


@router.get("/webhooks/{webhook_id}")
async def show_webhook(
    webhook_id: WebhookId, caller: Reader, services: Served, response: Response
) -> ShownWebhook:
    """One webhook."""
    webhook, progress = await services.webhooks.people.get(caller.tenant, webhook_id)
    response.headers["ETag"] = etag_of(webhook.version)
    return _shown(webhook, progress)


@router.patch("/webhooks/{webhook_id}")
async def change_webhook(
    webhook_id: WebhookId,
    *,
    asked: ChangedWebhook,
    caller: Admin,
    services: Served,
    response: Response,
    if_match: IfMatch = None,
) -> ShownWebhook:
    """Change where it leads or what it lets through."""
    webhook, progress = await services.webhooks.people.get(caller.tenant, webhook_id)
    check_match(if_match, webhook.version)
    changed = await services.webhooks.people.change(
        webhook,
        url=asked.url,
        types=asked.types,
        tags=asked.tags,
        description=asked.description,
        actor=caller.actor,
    )
    response.headers["ETag"] = etag_of(changed.version)
    return _shown(changed, progress)


@router.delete("/webhooks/{webhook_id}", status_code=204)
async def remove_webhook(webhook_id: WebhookId, caller: Admin, services: Served) -> Response:
    """Remove a webhook with its log of deliveries."""
    webhook, _ = await services.webhooks.people.get(caller.tenant, webhook_id)
    await services.webhooks.people.remove(webhook, actor=caller.actor)
    return Response(status_code=204)


@router.post("/webhooks/{webhook_id}/rotate-secret")
async def rotate_secret(
    webhook_id: WebhookId, caller: Admin, services: Served, response: Response
) -> MadeWebhook:
    """Make a new secret; for a day messages are signed with the old one too."""
    webhook, progress = await services.webhooks.people.get(caller.tenant, webhook_id)
    changed, secret = await services.webhooks.people.rotate(webhook, actor=caller.actor)
    response.headers["Cache-Control"] = "no-store"
    return MadeWebhook(**_shown(changed, progress).model_dump(), secret=secret)


@router.post("/webhooks/{webhook_id}/pause")
async def pause_webhook(webhook_id: WebhookId, caller: Operator, services: Served) -> ShownWebhook:
    """Send nothing until it is resumed; nothing is lost meanwhile."""
    webhook, progress = await services.webhooks.people.get(caller.tenant, webhook_id)
    paused = await services.webhooks.people.pause(webhook, progress, actor=caller.actor)
    return _shown(webhook, paused)


@router.post("/webhooks/{webhook_id}/resume")
async def resume_webhook(
    webhook_id: WebhookId, asked: Resumption, caller: Operator, services: Served
) -> ShownWebhook:
    """Go on where it stopped, from now on, or after a certain event."""
    webhook, progress = await services.webhooks.people.get(caller.tenant, webhook_id)
    resumed = await services.webhooks.people.resume(
        webhook, progress, actor=caller.actor, after=asked.after, skips=asked.begin == "now"
    )
    return _shown(webhook, resumed)


@router.post("/webhooks/{webhook_id}/test")
async def test_webhook(webhook_id: WebhookId, caller: Operator, services: Served) -> ShownDelivery:
    """Send a test event at once, also where the webhook is paused; the answer tells what came of it."""
    webhook, _ = await services.webhooks.people.get(caller.tenant, webhook_id)
    return ShownDelivery.model_validate(await services.webhooks.people.test(webhook))


@router.get("/webhooks/{webhook_id}/deliveries")
async def list_deliveries(
    webhook_id: WebhookId,
    *,
    caller: Reader,
    services: Served,
    has_succeeded: Annotated[bool | None, Query(description="Only those.")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[ShownDelivery]:
    """Every attempt of the last thirty days, the latest first."""
    await services.webhooks.people.get(caller.tenant, webhook_id)
    before = number_position(cursor, "deliveries", webhook_id, has_succeeded)
    rows = await services.webhooks.people.store.deliveries(
        caller.tenant,
        webhook_id,
        before=None if before < 0 else before,
        has_succeeded=has_succeeded,
        limit=limit + 1,
    )
    items = [ShownDelivery.model_validate(row) for row in rows[:limit]]
    following = (
        cursor_of("deliveries", items[-1].id, webhook_id, has_succeeded) if len(rows) > limit else None
    )
    return Page(items=items, next=following)


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/resend")
async def resend_delivery(
    webhook_id: WebhookId, delivery_id: DeliveryId, caller: Operator, services: Served
) -> ShownDelivery:
    """Send the event of a delivery once more, at once, with the same id."""
    webhook, _ = await services.webhooks.people.get(caller.tenant, webhook_id)
    return ShownDelivery.model_validate(await services.webhooks.people.resend(webhook, delivery_id))


def _shown(webhook: Webhook, progress: Progress) -> ShownWebhook:
    return ShownWebhook(
        id=webhook.id,
        url=webhook.url,
        description=webhook.description,
        types=list(webhook.types),
        tags=list(webhook.tags),
        state=progress.state,
        reason=progress.reason,
        created_at=webhook.created_at,
        after=progress.after,
        attempts=progress.attempts,
        next_attempt_at=progress.next_at,
        failing_since=progress.failing_since,
        signs_with_both_until=webhook.previous_until,
    )
