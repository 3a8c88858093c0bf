"""What the use cases of webhooks need from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.shared.unit_of_work import UnitOfWork
from application.webhooks.views import DeliveryDetailView, DeliveryView, WebhookView
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.delivery import Delivery, DeliveryStatus, Outcome
from domain.webhooks.endpoint import WebhookEndpoint
from domain.webhooks.values import EndpointUrl


class WebhookRepository(Protocol):
    async def add(self, endpoint: WebhookEndpoint) -> None: ...

    async def count(self) -> int:
        """Return how many there are; it holds while the fan-out is locked."""
        ...

    async def get(self, webhook_id: WebhookId) -> WebhookEndpoint:
        """Load and lock. Raises `WebhookNotFound`."""
        ...

    async def save(self, endpoint: WebhookEndpoint) -> None:
        """Raises `VersionConflict` when the endpoint is not as it was loaded. `failing_since` is not among it, unless
        it is cleared.
        """
        ...

    async def remove(self, endpoint: WebhookEndpoint) -> None:
        """Take the endpoint away, and with it every delivery: those at hand are gone at once, for all that one sees,
        and are erased in the background.
        """
        ...

    async def enabled(self) -> Sequence[WebhookEndpoint]:
        """Return every endpoint that is enabled, without locking."""
        ...

    async def set_failing_since(self, webhook_id: WebhookId, *, failing_since: datetime | None) -> None:
        """Note that it answers (None), or that it has been failing since then, unless it was before."""
        ...


class DeliveryRepository(Protocol):
    async def add_all(self, deliveries: Sequence[Delivery]) -> None: ...

    async def get(self, delivery_id: DeliveryId, *, of: WebhookId) -> Delivery:
        """Load and lock. Raises `DeliveryNotFound`, also for one of another endpoint."""
        ...

    async def save(self, delivery: Delivery) -> None: ...

    async def claim(self, of: WebhookId, *, now: datetime, until: datetime, claim: UUID, limit: int) -> list[Delivery]:
        """Take deliveries that are due, the longest due first, for oneself until `until`.

        What another transaction is just taking is passed over. One that nobody has reported on by `until` is due again.
        """
        ...

    async def replay_failed(self, of: WebhookId, *, since: datetime, now: datetime, limit: int) -> int:
        """Make failed deliveries that were queued at `since` or later due at once, `limit` at the most; return how
        many.
        """
        ...


class FanOutCursor(Protocol):
    async def lock(self) -> int:
        """Return how far the event log has been handed out, and keep everybody else from going on with it.

        Raises `TransientFailure` when it lost the race for the first row.
        """
        ...

    async def move(self, position: int) -> None: ...


class WebhooksUnitOfWork(UnitOfWork, Protocol):
    @property
    def webhooks(self) -> WebhookRepository: ...

    @property
    def deliveries(self) -> DeliveryRepository: ...

    @property
    def fan_out(self) -> FanOutCursor: ...


WebhooksUnits = Callable[[], WebhooksUnitOfWork]


@dataclass(frozen=True, slots=True)
class WebhookSlice:
    """Some endpoints, newest first, and whether the list goes on after the last of them."""

    items: list[WebhookView]
    more: bool


@dataclass(frozen=True, slots=True)
class DeliverySlice:
    """Some deliveries, newest first, and whether the list goes on after the last of them."""

    items: list[DeliveryView]
    more: bool


class WebhookReader(Protocol):
    """Reads endpoints and deliveries as views. The payload of a delivery is a few hundred bytes, so no page needs a
    budget.
    """

    async def get(self, webhook_id: WebhookId) -> WebhookView | None: ...

    async def newest(self, *, limit: int, before: WebhookId | None) -> WebhookSlice: ...

    async def delivery(self, delivery_id: DeliveryId, *, of: WebhookId) -> DeliveryDetailView | None: ...

    async def deliveries(
        self, *, of: WebhookId, status: DeliveryStatus | None, limit: int, before: DeliveryId | None
    ) -> DeliverySlice: ...

    async def due(self, now: datetime) -> Sequence[WebhookId]:
        """Return the enabled endpoints that have a delivery which is due."""
        ...

    async def waiting_since(self, now: datetime) -> datetime | None:
        """Return since when something waits that enabled endpoints are to get and that is nobody's: an event that was
        not handed out, or a delivery that is due. None: nothing does, or there is no such endpoint. A few look-ups.
        """
        ...


class DeliveryRetention(Protocol):
    async def purge(self, *, before: datetime, limit: int) -> int:
        """Erase deliveries that were queued before then or whose endpoint is gone, `limit` at the most; return how
        many.
        """
        ...


class SecretUnreadable(Exception):
    """A sealed secret cannot be opened: the key is gone, or somebody tampered with the row. The operator's to mend."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    text: str = field(repr=False)
    """For the receiver, once."""
    sealed: bytes = field(repr=False)
    """To be stored."""


class WebhookSecrets(Protocol):
    """The secrets that deliveries are signed with, kept encrypted with a key that the database does not have."""

    def new(self, *, owner: WebhookId) -> NewSecret: ...

    def sign(self, sealed: Sequence[bytes], *, owner: WebhookId, id: str, timestamp: int, body: bytes) -> str:
        """Return the value of `webhook-signature`: one signature for each secret (Standard Webhooks).

        Raises `SecretUnreadable` when the first cannot be opened; later ones are left out then.
        """
        ...


class TargetGuard(Protocol):
    async def check(self, url: EndpointUrl) -> None:
        """Resolve the host. Raises `TargetRefused` unless every address is one that webhooks may be sent to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """One attempt, as it goes out: a POST of `body`."""

    url: EndpointUrl
    id: str
    timestamp: int
    signature: str = field(repr=False)
    body: bytes


class WebhookSender(Protocol):
    async def send(self, request: WebhookRequest) -> Outcome:
        """Send it, and wait for the answer, both within bounds. It never raises for what the receiver does."""
        ...
