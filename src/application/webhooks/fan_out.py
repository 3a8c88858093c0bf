"""From the event log to deliveries: one for each endpoint that wants the event."""

from collections.abc import Callable

from application.shared.clock import Clock
from application.shared.event_log import EventLog, LoggedEvent
from application.shared.ids import IdGenerator
from application.webhooks.ports import WebhooksUnits
from domain.shared.ids import DeliveryId
from domain.webhooks.delivery import Delivery

_EVENTS = 200
_DELIVERIES = 1000
"""At the most a step, so that the transaction stays short; but ten events at the least."""


class FanOut:
    """Reads on from where the last step ended, under a lock, and queues deliveries in the transaction that moves the
    place on. So every event is queued exactly once for every endpoint, however many processes do this, and die at it.
    """

    def __init__(
        self,
        *,
        uow: WebhooksUnits,
        events: EventLog,
        envelope: Callable[[LoggedEvent], bytes],
        ids: IdGenerator,
        clock: Clock,
    ) -> None:
        self._uow = uow
        self._events = events
        self._envelope = envelope
        self._ids = ids
        self._clock = clock
        self._position = 0
        """How far it was handed out when this process last looked: by now as far at the least."""

    async def step(self) -> int:
        """Queue the next events; return how many were read. Raises `TransientFailure` and `StorageUnavailable`."""
        await self._events.assign_positions()
        if await self._events.head() <= self._position:
            return 0  # Most times nothing happened, and nothing needs to be locked to know.
        async with self._uow() as uow:
            position = await uow.fan_out.lock()
            endpoints = await uow.webhooks.enabled()
            limit = min(_EVENTS, max(10, _DELIVERIES // max(1, len(endpoints))))
            events = await self._events.read(after=position, limit=limit)
            if not events:
                self._position = position
                return 0
            now = self._clock.now()
            deliveries = []
            for event in events:
                wanted = [endpoint for endpoint in endpoints if endpoint.is_wanted(event.type, event.position)]
                body = self._envelope(event) if wanted else b""
                deliveries += [
                    Delivery.queue(
                        id=DeliveryId(self._ids.new(now)),
                        endpoint_id=endpoint.id,
                        event_id=event.id,
                        event_type=event.type,
                        body=body,
                        at=now,
                    )
                    for endpoint in wanted
                ]
            await uow.deliveries.add_all(deliveries)
            await uow.fan_out.move(events[-1].position)
            await uow.commit()
        self._position = events[-1].position
        return len(events)
