"""The delivery aggregate: one event on its way to one endpoint."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from domain.shared.events import Aggregate
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.schedule import wait_before


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt went: the status of the answer, or the reason why there was none."""

    status_code: int | None = None
    error: str | None = None
    """A stable word: `timeout`, `connection`, `tls`, `dns`, `refused_target`, `protocol`, `secret`, `redirect`,
    `status`."""
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return self.error is None

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing more, ever (RFC 9110, section 15.5.11)."""
        return self.status_code == 410

    @classmethod
    def answered(cls, status_code: int, *, retry_after: timedelta | None = None) -> Self:
        """Return the outcome of an answer: any 2xx is a success, a redirect is a failure and is not followed."""
        if 200 <= status_code < 300:
            return cls(status_code=status_code)
        error = "redirect" if 300 <= status_code < 400 else "status"
        return cls(status_code=status_code, error=error, retry_after=retry_after)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Delivery(Aggregate):
    """`queue` makes a new delivery, `restore` brings a stored one back.

    Who works on it holds a claim: a random id, and with it the time up to which nobody else takes it. A claim that has
    run out may be taken over, and its first holder's result is not kept any more.
    """

    id: DeliveryId
    endpoint_id: WebhookId
    event_id: UUID
    event_type: str
    body: bytes
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    claim: UUID | None
    last_attempt_at: datetime | None
    last_status_code: int | None
    last_error: str | None
    created_at: datetime

    @classmethod
    def queue(
        cls, *, id: DeliveryId, endpoint_id: WebhookId, event_id: UUID, event_type: str, body: bytes, at: datetime
    ) -> Self:
        return cls(
            id=id,
            endpoint_id=endpoint_id,
            event_id=event_id,
            event_type=event_type,
            body=body,
            status=DeliveryStatus.PENDING,
            attempts=0,
            next_attempt_at=at,
            claim=None,
            last_attempt_at=None,
            last_status_code=None,
            last_error=None,
            created_at=at,
        )

    def note(self, outcome: Outcome, *, at: datetime, random: float) -> None:
        """Take in how an attempt went: done, to be tried again, or failed for good."""
        self.attempts += 1
        self.claim = None
        self.last_attempt_at = at
        self.last_status_code = outcome.status_code
        self.last_error = outcome.error
        if outcome.is_success:
            self.status, self.next_attempt_at = DeliveryStatus.DELIVERED, None
            return
        wait = wait_before(self.attempts, random=random, asked_for=outcome.retry_after)
        if wait is None or outcome.is_gone:
            self.status, self.next_attempt_at = DeliveryStatus.FAILED, None
        else:
            self.next_attempt_at = at + wait

    def replay(self, *, at: datetime) -> None:
        """Send it again from the start of the schedule, under the same id, whatever became of it before."""
        self.status = DeliveryStatus.PENDING
        self.attempts = 0
        self.next_attempt_at = at
        self.claim = None
