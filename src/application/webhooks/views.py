"""What the use cases of webhooks answer with: straight to the wire."""

from typing import Annotated

import msgspec

from application.shared.views import Id, Timestamp, timestamp
from domain.shared.ids import WebhookId
from domain.webhooks.delivery import Delivery, DeliveryStatus
from domain.webhooks.endpoint import DisabledReason, WebhookEndpoint


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook. Its secret is shown once, when it is made."""

    id: Id
    url: str
    event_types: list[str]
    description: str | None
    enabled: bool
    disabled_reason: Annotated[
        DisabledReason | None,
        msgspec.Meta(description="`by_hand`; `gone`: it answered 410; `failing`: five days of nothing but failures."),
    ]
    failing_since: Annotated[
        Timestamp | None, msgspec.Meta(description="The first failure since the last success; null: it answers.")
    ]
    previous_secret_until: Annotated[
        Timestamp | None, msgspec.Meta(description="Until then deliveries carry the signature of the old secret too.")
    ]
    created_at: Timestamp
    updated_at: Timestamp
    version: int


Secret = Annotated[
    str,
    msgspec.Meta(
        description="For verifying signatures (Standard Webhooks). Shown this once.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    ),
]


class CreatedWebhookView(WebhookView, frozen=True, kw_only=True):
    """A webhook, with the secret that its deliveries are signed with."""

    secret: Secret


class WebhookPageView(msgspec.Struct, frozen=True):
    items: list[WebhookView]
    next_cursor: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint."""

    id: Id
    webhook_id: Id
    event_id: Annotated[Id, msgspec.Meta(description="What `webhook-id` says, the same at every attempt.")]
    event_type: str
    status: DeliveryStatus
    attempts: Annotated[int, msgspec.Meta(ge=0, description="So far, since it was queued or replayed.")]
    next_attempt_at: Timestamp | None
    last_attempt_at: Timestamp | None
    last_status_code: int | None
    last_error: Annotated[
        str | None,
        msgspec.Meta(
            description="Why the last attempt failed: `timeout`, `connection`, `tls`, `dns`, `refused_target`, "
            "`protocol`, `secret`, `redirect`, `status`."
        ),
    ]
    created_at: Timestamp


class DeliveryDetailView(DeliveryView, frozen=True, kw_only=True):
    """One event on its way to one endpoint, with what is sent."""

    payload: Annotated[msgspec.Raw, msgspec.Meta(description="The event as it is sent (CloudEvents 1.0, JSON).")]


class DeliveryPageView(msgspec.Struct, frozen=True):
    items: list[DeliveryView]
    next_cursor: str | None


class ReplayedView(msgspec.Struct, frozen=True):
    """What was replayed."""

    replayed: Annotated[int, msgspec.Meta(ge=0, description="Deliveries that are due again.")]


def webhook_view(endpoint: WebhookEndpoint) -> WebhookView:
    return WebhookView(
        id=str(endpoint.id),
        url=endpoint.url.value,
        event_types=list(endpoint.event_types.patterns),
        description=None if endpoint.description is None else endpoint.description.value,
        enabled=endpoint.enabled,
        disabled_reason=endpoint.disabled_reason,
        failing_since=None if endpoint.failing_since is None else timestamp(endpoint.failing_since),
        previous_secret_until=None if endpoint.previous_until is None else timestamp(endpoint.previous_until),
        created_at=timestamp(endpoint.created_at),
        updated_at=timestamp(endpoint.updated_at),
        version=endpoint.version,
    )


def created_view(endpoint: WebhookEndpoint, secret: str) -> CreatedWebhookView:
    view = webhook_view(endpoint)
    return CreatedWebhookView(**msgspec.structs.asdict(view), secret=secret)


def delivery_view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=str(delivery.id),
        webhook_id=str(delivery.endpoint_id),
        event_id=str(delivery.event_id),
        event_type=delivery.event_type,
        status=delivery.status,
        attempts=delivery.attempts,
        next_attempt_at=None if delivery.next_attempt_at is None else timestamp(delivery.next_attempt_at),
        last_attempt_at=None if delivery.last_attempt_at is None else timestamp(delivery.last_attempt_at),
        last_status_code=delivery.last_status_code,
        last_error=delivery.last_error,
        created_at=timestamp(delivery.created_at),
    )


def delivery_detail_view(delivery: Delivery) -> DeliveryDetailView:
    view = msgspec.structs.asdict(delivery_view(delivery))
    return DeliveryDetailView(**view, payload=msgspec.Raw(delivery.body))


class _TestData(msgspec.Struct, frozen=True):
    webhook_id: Id


def sample_event_data(webhook_id: WebhookId) -> bytes:
    """Return the data of a test event."""
    return msgspec.json.encode(_TestData(str(webhook_id)))
