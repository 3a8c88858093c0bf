"""What the routes of webhooks read."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from application.events.catalogue import TYPES
from application.shared.idempotency import IdempotencyClaim
from application.webhooks.edit_webhook import UNCHANGED, EditWebhookCommand, Unchanged
from application.webhooks.register_webhook import RegisterWebhookCommand
from application.webhooks.replay_failed import ReplayFailedCommand
from application.webhooks.views import CreatedWebhookView
from domain.shared.actor import Actor
from domain.shared.errors import FieldError, Invalid
from domain.shared.ids import WebhookId
from domain.webhooks.values import (
    DESCRIPTION_MAX_LENGTH,
    EVENT_TYPE_MAX_LENGTH,
    EVENT_TYPE_PATTERN,
    EVENT_TYPES_MAX,
    TEST_EVENT,
    URL_MAX_LENGTH,
    Description,
    EndpointUrl,
    EventTypes,
)
from entrypoints.http.edge.json_body import Parsed
from entrypoints.http.edge.timestamps import TIMESTAMP_MAX_LENGTH, parse_timestamp

_KNOWN: Final = frozenset(TYPES) - {TEST_EVENT}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Url = Annotated[
    str,
    msgspec.Meta(
        description="Where to: an `https` URL with a path and a query at the most, on port 80, 443 or one from 1024 "
        "on. Its host must not lead to private, loopback or other special addresses; redirects are not followed.",
        examples=["https://hooks.example.com/postern"],
        min_length=1,
        max_length=URL_MAX_LENGTH,
    ),
    Parsed(EndpointUrl.parse),
]
Types = Annotated[
    list[Annotated[str, msgspec.Meta(pattern=EVENT_TYPE_PATTERN, max_length=EVENT_TYPE_MAX_LENGTH)]],
    msgspec.Meta(
        description="Exact types, `post.*` for all of one subject (those added later too), or `*` for everything.",
        examples=[["post.*", "order.placed"]],
        min_length=1,
        max_length=EVENT_TYPES_MAX,
    ),
]
Text = Annotated[
    str,
    msgspec.Meta(
        description="What you call it. Trimmed, not blank, without control characters.",
        examples=["Search index"],
        min_length=1,
        max_length=DESCRIPTION_MAX_LENGTH,
    ),
    Parsed(Description.parse),
]


class RegisterWebhookBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A new webhook."""

    url: Url
    event_types: Types
    description: Text | None = None
    enabled: bool = True

    def command(self, actor: Actor, idempotency: IdempotencyClaim[CreatedWebhookView] | None) -> RegisterWebhookCommand:
        """Raises `Invalid` for event types that there are not."""
        return RegisterWebhookCommand(
            actor=actor,
            url=EndpointUrl.parse(self.url),
            event_types=EventTypes.parse(self.event_types, known=_KNOWN),
            description=None if self.description is None else Description.parse(self.description),
            enabled=self.enabled,
            idempotency=idempotency,
        )


class EditWebhookBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Changes to a webhook: what is left out stays, `null` takes the description away."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    event_types: Types | msgspec.UnsetType = msgspec.UNSET
    description: Text | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET

    def command(self, actor: Actor, webhook_id: WebhookId, if_version: int | None) -> EditWebhookCommand:
        """Raises `Invalid` for event types that there are not."""
        return EditWebhookCommand(
            actor=actor,
            webhook_id=webhook_id,
            url=None if self.url is msgspec.UNSET else EndpointUrl.parse(self.url),
            event_types=None if self.event_types is msgspec.UNSET else EventTypes.parse(self.event_types, known=_KNOWN),
            description=self._description(),
            enabled=None if self.enabled is msgspec.UNSET else self.enabled,
            if_version=if_version,
        )

    def _description(self) -> Description | Unchanged | None:
        if self.description is msgspec.UNSET:
            return UNCHANGED
        return None if self.description is None else Description.parse(self.description)


def queued_since(raw: str) -> datetime:
    """Read since when deliveries were queued. Raises `Invalid`."""
    try:
        found = parse_timestamp(raw)
    except ValueError:
        raise Invalid([FieldError("since", "format", "is a time with its offset, as in RFC 3339")]) from None
    if found < _EPOCH:
        raise Invalid([FieldError("since", "range", "is no earlier than 1970")])
    return found


class ReplayFailedBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Since when failed deliveries are to be sent again."""

    since: Annotated[
        str,
        msgspec.Meta(
            max_length=TIMESTAMP_MAX_LENGTH,
            description="When they were queued, or later: RFC 3339 with an offset, from 1970 on.",
            examples=["2026-11-20T00:00:00Z"],
            extra_json_schema={"format": "date-time"},
        ),
        Parsed(queued_since),
    ]

    def command(self, actor: Actor, webhook_id: WebhookId) -> ReplayFailedCommand:
        return ReplayFailedCommand(actor, webhook_id, queued_since(self.since))
