"""The endpoint aggregate: where deliveries go, and of what."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from domain.shared.actor import Actor, Permission
from domain.shared.events import Aggregate
from domain.shared.ids import WebhookId
from domain.webhooks.events import (
    WebhookDeleted,
    WebhookDisabledByRule,
    WebhookEdited,
    WebhookRegistered,
    WebhookSecretRotated,
)
from domain.webhooks.values import Description, EndpointUrl, EventTypes

PREVIOUS_SECRET_LASTS = timedelta(hours=24)
"""How long deliveries carry a second signature after the secret was changed."""
FAILING_DISABLES_AFTER = timedelta(days=5)
"""For how long an endpoint may fail, without a single success, until it is sent nothing more."""


class DisabledReason(StrEnum):
    BY_HAND = "by_hand"
    GONE = "gone"
    """The receiver answered 410."""
    FAILING = "failing"
    """Nothing but failures, for `FAILING_DISABLES_AFTER`."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class WebhookEndpoint(Aggregate):
    """`register` makes a new endpoint, `restore` brings a stored one back.

    Its secrets are sealed: here they are bytes that mean nothing. `from_position` is a place in the event log: what
    lies up to it was before the endpoint's time.
    """

    id: WebhookId
    url: EndpointUrl
    event_types: EventTypes
    description: Description | None
    enabled: bool
    disabled_reason: DisabledReason | None
    secret: bytes
    previous_secret: bytes | None
    previous_until: datetime | None
    from_position: int
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def register(
        cls,
        *,
        id: WebhookId,
        by: Actor,
        url: EndpointUrl,
        event_types: EventTypes,
        description: Description | None,
        enabled: bool,
        secret: bytes,
        from_position: int,
        at: datetime,
    ) -> Self:
        """Raises `Forbidden` for whom webhooks are not to manage, as all that takes `by` does."""
        by.require(Permission.MANAGE_WEBHOOKS)
        endpoint = cls(
            id=id,
            url=url,
            event_types=event_types,
            description=description,
            enabled=enabled,
            disabled_reason=None if enabled else DisabledReason.BY_HAND,
            secret=secret,
            previous_secret=None,
            previous_until=None,
            from_position=from_position,
            failing_since=None,
            created_at=at,
            updated_at=at,
            version=1,
        )
        endpoint._record(WebhookRegistered(at=at, by=by.user_id, webhook_id=id, url=url.value))
        return endpoint

    def edit(
        self,
        *,
        by: Actor,
        url: EndpointUrl,
        event_types: EventTypes,
        description: Description | None,
        enabled: bool,
        position: int,
        at: datetime,
    ) -> None:
        """Change what may be changed. Enabled again, it is told of what happens from `position` on."""
        by.require(Permission.MANAGE_WEBHOOKS)
        if enabled and not self.enabled:
            self.from_position = position
            self.failing_since = None
            self.disabled_reason = None
        elif not enabled and self.enabled:
            self.disabled_reason = DisabledReason.BY_HAND
        self.url, self.event_types, self.description, self.enabled = url, event_types, description, enabled
        self.updated_at = max(self.updated_at, at)
        self._record(WebhookEdited(at=at, by=by.user_id, webhook_id=self.id, url=url.value))

    def rotate_secret(self, secret: bytes, *, by: Actor, at: datetime) -> None:
        """Sign with another secret from now on, and with the present one too for `PREVIOUS_SECRET_LASTS`."""
        by.require(Permission.MANAGE_WEBHOOKS)
        self.previous_secret, self.secret = self.secret, secret
        self.previous_until = at + PREVIOUS_SECRET_LASTS
        self.updated_at = max(self.updated_at, at)
        self._record(WebhookSecretRotated(at=at, by=by.user_id, webhook_id=self.id))

    def signing_secrets(self, at: datetime) -> list[bytes]:
        """Return the sealed secrets that a delivery of this moment is signed with, the present one first."""
        if self.previous_secret is None or self.previous_until is None or at >= self.previous_until:
            return [self.secret]
        return [self.secret, self.previous_secret]

    def delete(self, *, by: Actor, at: datetime) -> None:
        by.require(Permission.MANAGE_WEBHOOKS)
        self._record(WebhookDeleted(at=at, by=by.user_id, webhook_id=self.id))

    def disable(self, reason: DisabledReason, *, at: datetime) -> None:
        """Send it nothing more, by a rule and not by hand. Disabling it twice is disabling it once."""
        if not self.enabled:
            return
        self.enabled = False
        self.disabled_reason = reason
        self.updated_at = max(self.updated_at, at)
        self._record(WebhookDisabledByRule(at=at, by=None, webhook_id=self.id, reason=reason))

    def is_wanted(self, event_type: str, position: int) -> bool:
        """Tell whether an event is to be delivered here."""
        return self.enabled and position > self.from_position and self.event_types.match(event_type)
