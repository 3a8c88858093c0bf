"""Events to RabbitMQ."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aio_pika import DeliveryMode, ExchangeType, connect
from aio_pika import Message as AmqpMessage
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import AMQPError, DeliveryError

from application.events.ports import EventPublisher, Message
from application.shared.errors import Unavailable
from application.shared.health import Probe

TIMEOUT_SECONDS: Final = 10.0
"""For connecting and publishing together. A broker that flushes to disk needs some milliseconds."""
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


class RabbitMqPublisher(EventPublisher, Probe):
    """Publishes to a durable topic exchange, persistently; an event counts once the broker has confirmed it.

    The routing key is the event's type, so that a queue bound with `post.*` gets what happens to posts. The body is a
    CloudEvent in structured mode (CloudEvents AMQP binding, section 3.2), and `message-id` is the event's id. An
    exchange keeps nothing: who wants events has bound a durable queue to it. What a queue refuses because it is full
    (`overflow: reject-publish`) is refused.

    Any failure closes the connection, and the next call opens another. The library could reconnect by itself, but
    while it does, publishing waits without a word; and who relays knows better when to try again.
    """

    def __init__(self, url: str, *, exchange: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._name = exchange
        self._timeout = timeout_seconds
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._opening = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        try:
            async with asyncio.timeout(self._timeout):
                exchange = await self._open()
                outcomes = await asyncio.gather(
                    *(exchange.publish(_amqp(message), message.type, mandatory=False) for message in messages),
                    return_exceptions=True,
                )
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            await self._drop()
            raise _unavailable(error) from error
        for outcome in outcomes:
            # A cancellation too: the library ends so what waits on a connection that is lost.
            if isinstance(outcome, BaseException) and not isinstance(outcome, DeliveryError):
                await self._drop()
                raise _unavailable(outcome) from outcome
        return [_refusal(outcome) for outcome in outcomes]

    async def check(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._open()
                if self._channel is not None:
                    # One round trip, and the exchange is there afterwards.
                    await self._channel.declare_exchange(self._name, ExchangeType.TOPIC, durable=True)
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            await self._drop()
            raise _unavailable(error) from error

    async def close(self) -> None:
        await self._drop()

    async def _open(self) -> AbstractExchange:
        async with self._opening:
            if self._exchange is None or self._connection is None or self._connection.is_closed:
                await self._drop()
                self._connection = await connect(self._url, timeout=self._timeout)
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=False)
                self._exchange = await self._channel.declare_exchange(self._name, ExchangeType.TOPIC, durable=True)
            return self._exchange

    async def _drop(self) -> None:
        connection, self._connection, self._channel, self._exchange = self._connection, None, None, None
        if connection is not None:
            try:
                async with asyncio.timeout(1.0):
                    await connection.close()
            except (AMQPError, OSError, TimeoutError, RuntimeError):
                return  # It was closed by the other side, or does not answer.


def _amqp(message: Message) -> AmqpMessage:
    return AmqpMessage(
        message.body,
        content_type=CONTENT_TYPE,
        message_id=str(message.id),
        type=message.type,
        timestamp=message.time,
        app_id="postern",
        delivery_mode=DeliveryMode.PERSISTENT,
        headers={"subject": str(message.subject)},
    )


def _refusal(outcome: object) -> str | None:
    return f"not acknowledged: {outcome}" if isinstance(outcome, DeliveryError) else None


def _unavailable(error: BaseException) -> Unavailable:
    # Without the address, which may hold a password.
    return Unavailable(f"RabbitMQ does not answer ({type(error).__name__})")
