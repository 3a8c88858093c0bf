"""What every publisher promises, over real brokers: what it confirms is there, whole, once."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from aio_pika import connect
from aio_pika.abc import AbstractQueue
from aio_pika.exceptions import QueueEmpty
from redis.asyncio import Redis

from adapters.broker.rabbitmq import CONTENT_TYPE, RabbitMqPublisher
from adapters.broker.redis_streams import RedisStreamsPublisher
from adapters.broker.stdout import StdoutPublisher
from application.events.ports import EventPublisher, Message
from application.shared.errors import Unavailable
from application.shared.health import Probe
from tests.builders import NOW, an_id

NOBODY = "127.0.0.1:9"
"""The port of `discard`, on which nothing listens."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A publisher, and how to see what has arrived behind it."""

    publisher: RabbitMqPublisher | RedisStreamsPublisher | StdoutPublisher
    arrived: Callable[[], Awaitable[list[dict[str, Any]]]]


async def drain(queue: AbstractQueue) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        try:
            message = await queue.get(no_ack=True, timeout=5)
        except QueueEmpty:
            return found
        assert message is not None
        assert (message.content_type, message.delivery_mode) == (CONTENT_TYPE, 2)
        envelope = json.loads(message.body)
        assert (message.message_id, message.routing_key) == (envelope["id"], envelope["type"])
        found.append(envelope)


@pytest.fixture(params=["rabbitmq", "redis", "stdout"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    name = f"test.{uuid4()}"
    match request.param:
        case "rabbitmq":
            url = request.getfixturevalue("rabbitmq_url")
            rabbit = RabbitMqPublisher(url, exchange=name)
            await rabbit.check()
            async with await connect(url) as connection:
                channel = await connection.channel()
                queue = await channel.declare_queue(exclusive=True)
                await queue.bind(name, "#")
                yield Stand(rabbit, lambda: drain(queue))
                await channel.exchange_delete(name)
            await rabbit.close()
        case "redis":
            url = request.getfixturevalue("redis_url")
            streams = RedisStreamsPublisher(url, stream=name)
            async with Redis.from_url(url) as client:

                async def entries() -> list[dict[str, Any]]:
                    found = await client.xrange(name) or []
                    return [json.loads(fields[b"event"]) for _, fields in found if fields is not None]

                yield Stand(streams, entries)
                await client.delete(name)
            await streams.close()
        case _:
            stream = io.BytesIO()

            async def lines() -> list[dict[str, Any]]:
                return [json.loads(line) for line in stream.getvalue().splitlines()]

            yield Stand(StdoutPublisher(stream), lines)


def messages(number: int, *, type: str = "post.published") -> list[Message]:
    found = []
    for _ in range(number):
        id, subject = an_id(), an_id()
        body = json.dumps({"id": str(id), "type": type, "text": "ein Gruß\n✓"}).encode()
        found.append(Message(id=id, type=type, subject=subject, time=NOW, body=body))
    return found


def ids(sent: Sequence[Message]) -> list[str]:
    return [str(message.id) for message in sent]


async def test_what_is_confirmed_has_arrived_whole(stand: Stand) -> None:
    sent = messages(50)

    assert list(await stand.publisher.publish(sent)) == [None] * 50

    arrived = await stand.arrived()
    assert sorted(envelope["id"] for envelope in arrived) == sorted(ids(sent))
    assert {envelope["text"] for envelope in arrived} == {"ein Gruß\n✓"}


async def test_one_call_after_another_keeps_their_order(stand: Stand) -> None:
    sent = messages(5)
    for message in sent:
        await stand.publisher.publish([message])

    assert [envelope["id"] for envelope in await stand.arrived()] == ids(sent)


async def test_nothing_to_publish_is_nothing_done(stand: Stand) -> None:
    assert list(await stand.publisher.publish([])) == []
    assert await stand.arrived() == []


async def test_a_broker_that_answers_is_healthy(stand: Stand) -> None:
    probe: Probe = stand.publisher
    await probe.check()
    await probe.check()


async def test_calls_at_once_share_a_connection_and_lose_nothing(stand: Stand) -> None:
    batches = [messages(5) for _ in range(4)]

    await asyncio.gather(*(stand.publisher.publish(batch) for batch in batches))

    assert len(await stand.arrived()) == 20


@pytest.mark.parametrize(
    "publisher_of",
    [
        lambda: RabbitMqPublisher(f"amqp://guest:hidden@{NOBODY}/", exchange="x", timeout_seconds=2),
        lambda: RedisStreamsPublisher(f"redis://:hidden@{NOBODY}/0", stream="x", timeout_seconds=2),
    ],
    ids=["rabbitmq", "redis"],
)
async def test_a_broker_that_is_not_there_is_unavailable_and_no_password_is_told(
    publisher_of: Callable[[], RabbitMqPublisher | RedisStreamsPublisher],
) -> None:
    publisher = publisher_of()
    for attempt in (publisher.publish(messages(1)), publisher.check()):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert "hidden" not in caught.value.detail
    await publisher.close()


@pytest.mark.parametrize("kind", ["rabbitmq", "redis"])
async def test_a_broker_that_accepts_and_says_nothing_is_given_up_in_time(kind: str) -> None:
    held: list[asyncio.StreamWriter] = []

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await asyncio.sleep(30)

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    publisher: EventPublisher = (
        RabbitMqPublisher(f"amqp://guest:guest@127.0.0.1:{port}/", exchange="x", timeout_seconds=0.5)
        if kind == "rabbitmq"
        else RedisStreamsPublisher(f"redis://127.0.0.1:{port}/0", stream="x", timeout_seconds=0.5)
    )

    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await publisher.publish(messages(1))
        await publisher.close()

    for writer in held:
        writer.close()
    server.close()


async def test_a_full_queue_refuses_and_the_next_connection_is_not_needed(rabbitmq_url: str) -> None:
    name = f"test.{uuid4()}"
    publisher = RabbitMqPublisher(rabbitmq_url, exchange=name)
    await publisher.check()
    async with await connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}
        )
        await queue.bind(name, "#")
        for message in messages(2):
            assert list(await publisher.publish([message])) == [None]

        [refusal] = await publisher.publish(messages(1))
        assert refusal is not None

        await queue.purge()
        assert list(await publisher.publish(messages(1))) == [None]
        await channel.exchange_delete(name)
    await publisher.close()


async def test_a_connection_that_was_cut_is_replaced(rabbitmq_url: str) -> None:
    name = f"test.{uuid4()}"
    publisher = RabbitMqPublisher(rabbitmq_url, exchange=name)
    await publisher.publish(messages(1))
    connection = publisher._connection
    assert connection is not None
    await connection.close()

    assert list(await publisher.publish(messages(3))) == [None] * 3
    async with await connect(rabbitmq_url) as admin:
        await (await admin.channel()).exchange_delete(name)
    await publisher.close()


async def test_a_stream_keeps_about_as_many_as_it_should(redis_url: str) -> None:
    name = f"test.{uuid4()}"
    publisher = RedisStreamsPublisher(redis_url, stream=name, length=100)
    for _ in range(10):
        await publisher.publish(messages(100))
    async with Redis.from_url(redis_url) as client:
        assert 100 <= await client.xlen(name) <= 300
        await client.delete(name)
    await publisher.close()


async def test_redis_that_refuses_is_unavailable(redis_url: str) -> None:
    name = f"test.{uuid4()}"
    publisher = RedisStreamsPublisher(redis_url, stream=name)
    async with Redis.from_url(redis_url) as client:
        await client.set(name, "no stream")
        with pytest.raises(Unavailable):
            await publisher.publish(messages(2))
        await client.delete(name)
    await publisher.close()


async def test_a_closed_standard_output_is_unavailable() -> None:
    stream = io.BytesIO()
    publisher = StdoutPublisher(stream)
    stream.close()

    with pytest.raises(Unavailable):
        await publisher.publish(messages(1))
