"""The connection to Redis, its circuit breaker, the probe, and the store of shared pages."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from dataclasses import astuple

import pytest

from adapters.cache.my_posts import PageKey
from adapters.cache.redis import MAX_PAGE_BYTES, RedisPageStore
from adapters.shared.redis import RedisConnection, RedisProbe
from application.shared.errors import Unavailable
from application.shared.views import EncodedPage
from domain.shared.ids import UserId
from tests.builders import an_id
from tests.integration.cache.servers import RedisServer, Wire, until
from tests.waiting import all_end_with, at_once

PREFIX = f"postern_test_{os.getpid()}:"
PAGE = EncodedPage(b'{"items":[]}\n\x00\xff', "an etag", "a cursor")


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


@pytest.fixture
async def own(server: RedisServer) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(server.url)
    yield connection
    await connection.close()


@pytest.fixture
def store(connection: RedisConnection) -> RedisPageStore:
    return RedisPageStore(connection, prefix=PREFIX)


@pytest.fixture
def key() -> PageKey:
    return PageKey(UserId(an_id()), 20, None)


async def answers_again(connection: RedisConnection) -> None:
    async def answers() -> bool:
        return connection.is_usable

    await until(answers)


async def test_commands_are_answered_in_their_order(connection: RedisConnection) -> None:
    answer = await connection.ask(("ECHO", "one"), ("ECHO", b"\x00two"), ("STRLEN", f"{PREFIX}none"), ("GET", "none"))

    assert answer.replies == [b"one", b"\x00two", 0, None]


async def test_an_answer_names_the_server_process(server: RedisServer, own: RedisConnection) -> None:
    first = (await own.ask(("PING",))).server
    assert first.startswith(b"run_id:")
    assert len(first) > len(b"run_id:") + 30
    assert (await own.ask(("PING",))).server == first

    server.kill()
    server.start()
    with pytest.raises(Unavailable):
        await own.ask(("PING",))
    await answers_again(own)

    assert (await own.ask(("PING",))).server != first


async def test_concurrent_callers_get_each_their_own_answers(connection: RedisConnection) -> None:
    async def ask(n: int) -> bool:
        answer = await connection.ask(("ECHO", f"{n}"), ("ECHO", f"-{n}"))
        return answer.replies == [f"{n}".encode(), f"-{n}".encode()]

    assert all(await asyncio.gather(*(ask(n) for n in range(500))))


async def test_callers_who_give_up_leave_the_answers_of_the_others_alone(connection: RedisConnection) -> None:
    async def ask(n: int) -> tuple[int, object]:
        await asyncio.sleep(n % 7 * 0.0005)
        return n, (await connection.ask(("ECHO", f"{n}"))).replies[0]

    tasks = [asyncio.create_task(ask(n)) for n in range(600)]
    for n, task in enumerate(tasks):
        if n % 3 == 0:
            await asyncio.sleep(0)
            task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    answered = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    assert len(answered) >= 400
    assert all(reply == f"{n}".encode() for n, reply in answered)
    assert connection.is_usable


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "127.0.0.1", "redis://127.0.0.1:port"])
def test_a_url_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"scheme|Port|port"):
        RedisConnection(url)


async def test_a_server_that_is_not_there_is_unavailable(server: RedisServer, own: RedisConnection) -> None:
    server.kill()

    with pytest.raises(Unavailable):
        await own.ask(("PING",))
    assert not own.is_usable


async def test_after_a_failure_nobody_waits_until_it_answers_again(server: RedisServer, own: RedisConnection) -> None:
    await own.ask(("PING",))
    server.freeze()
    began = time.perf_counter()
    with pytest.raises(Unavailable):
        await own.ask(("PING",))
    assert 0.2 < time.perf_counter() - began < 5

    for _ in range(100):
        with pytest.raises(Unavailable):
            at_once(own.ask(("PING",)))

    server.thaw()
    await answers_again(own)
    assert (await own.ask(("PING",))).replies == [b"PONG"]


async def test_all_who_wait_at_a_failure_fail_together(server: RedisServer, own: RedisConnection) -> None:
    await own.ask(("PING",))
    server.freeze()

    first = asyncio.create_task(own.ask(("PING",)))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(own.ask(("PING",))) for _ in range(10)]
    await all_end_with({first, *others})

    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_a_late_reply_is_not_taken_for_another(wire: Wire) -> None:
    connection = RedisConnection(wire.url)
    await connection.ask(("ECHO", "before"))
    wire.cut()
    with pytest.raises(Unavailable):
        await connection.ask(("ECHO", "lost"))
    wire.mend()
    await answers_again(connection)

    assert (await connection.ask(("ECHO", "after"))).replies == [b"after"]
    await connection.close()


async def test_an_error_reply_fails_its_caller_and_the_connection_recovers(connection: RedisConnection) -> None:
    with pytest.raises(Unavailable):
        await connection.ask(("NO-SUCH-COMMAND",))

    await answers_again(connection)
    assert (await connection.ask(("PING",))).replies == [b"PONG"]


async def test_a_failure_and_the_recovery_are_logged_once(
    server: RedisServer, own: RedisConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "adapters.shared.redis")
    server.kill()
    for _ in range(5):
        with pytest.raises(Unavailable):
            await own.ask(("PING",))
    await asyncio.sleep(0.4)
    server.start()
    await answers_again(own)

    assert ["failed" in message or "again" in message for message in caplog.messages] == [True, True]


async def test_after_closing_it_is_unavailable(redis_url: str) -> None:
    connection = RedisConnection(redis_url)
    await connection.ask(("PING",))

    await connection.close()

    with pytest.raises(Unavailable):
        await connection.ask(("PING",))


async def test_closing_answers_those_who_wait(server: RedisServer, own: RedisConnection) -> None:
    await own.ask(("PING",))
    server.freeze()
    waiting = asyncio.create_task(own.ask(("PING",)))
    await asyncio.sleep(0.02)

    await own.close()

    with pytest.raises(Unavailable):
        await waiting


async def test_closing_ends_the_attempts_to_reach_a_dead_server(server: RedisServer, own: RedisConnection) -> None:
    server.kill()
    with pytest.raises(Unavailable):
        await own.ask(("PING",))

    await own.close()

    assert len(asyncio.all_tasks()) == 1


async def test_a_server_with_a_password_and_another_database(server: RedisServer) -> None:
    server.command("CONFIG", "SET", "requirepass", "secret")
    connection = RedisConnection(server.url.replace("redis://", "redis://:secret@").replace("/0", "/3"))
    wrong = RedisConnection(server.url.replace("redis://", "redis://:wrong@"))

    await connection.ask(("SET", "a", "b"))
    with pytest.raises(Unavailable):
        await wrong.ask(("PING",))

    assert (await connection.ask(("DBSIZE",))).replies == [1]
    await connection.close()
    await wrong.close()


async def test_the_probe_passes_while_redis_answers_and_fails_when_not(
    server: RedisServer, own: RedisConnection
) -> None:
    probe = RedisProbe(own)
    await probe.check()

    server.kill()

    for _ in range(2):
        with pytest.raises(Unavailable):
            await probe.check()


async def test_a_stored_page_comes_back_byte_for_byte(store: RedisPageStore, key: PageKey) -> None:
    await store.put(key, 7, PAGE, ttl_seconds=60)

    stored = await store.get(key, 7)

    assert stored is not None
    assert astuple(stored.page) == astuple(PAGE)
    assert 59 < stored.seconds_left <= 60


async def test_a_last_page_has_no_cursor(store: RedisPageStore, key: PageKey) -> None:
    page = EncodedPage(b"{}", "e", None)
    await store.put(key, 7, page, ttl_seconds=60)

    stored = await store.get(key, 7)
    assert stored is not None
    assert astuple(stored.page) == astuple(page)


async def test_pages_are_kept_apart_by_owner_limit_cursor_and_revision(store: RedisPageStore, key: PageKey) -> None:
    await store.put(key, 7, PAGE, ttl_seconds=60)

    assert await store.get(key, 8) is None
    assert await store.get(key._replace(owner=UserId(an_id())), 7) is None
    assert await store.get(key._replace(limit=2), 7) is None
    assert await store.get(key._replace(cursor="c"), 7) is None


async def test_a_page_is_gone_after_its_life(store: RedisPageStore, key: PageKey) -> None:
    await store.put(key, 7, PAGE, ttl_seconds=0.05)
    await asyncio.sleep(0.1)

    assert await store.get(key, 7) is None


async def test_a_page_without_life_is_not_stored(store: RedisPageStore, key: PageKey) -> None:
    await store.put(key, 7, PAGE, ttl_seconds=0.0001)
    await store.put(key, 8, PAGE, ttl_seconds=-1)

    assert await store.get(key, 7) is None
    assert await store.get(key, 8) is None


async def test_a_large_page_is_not_shared(store: RedisPageStore, key: PageKey) -> None:
    await store.put(key, 7, EncodedPage(bytes(MAX_PAGE_BYTES + 1), "e", None), ttl_seconds=60)
    await store.put(key, 8, EncodedPage(bytes(MAX_PAGE_BYTES), "e", None), ttl_seconds=60)

    assert await store.get(key, 7) is None
    assert await store.get(key, 8) is not None


@pytest.mark.parametrize("value", ["", "nonsense", "[1,2]\nbody", '["etag"]\nbody', "{}\n"])
async def test_what_is_no_page_is_a_miss(
    store: RedisPageStore, connection: RedisConnection, key: PageKey, value: str
) -> None:
    await connection.ask(("SET", store._name(key, 7), value, "PX", 60_000))

    assert await store.get(key, 7) is None


async def test_a_page_that_never_dies_is_a_miss(
    store: RedisPageStore, connection: RedisConnection, key: PageKey
) -> None:
    """Nobody knows its age: it is not one of ours."""
    name = store._name(key, 7)
    await connection.ask(("SET", name, '["e",null]\n{}'))

    assert await store.get(key, 7) is None

    await connection.ask(("DEL", name))


async def test_a_dead_redis_is_a_miss(server: RedisServer, own: RedisConnection, key: PageKey) -> None:
    store = RedisPageStore(own)
    server.kill()

    await store.put(key, 7, PAGE, ttl_seconds=60)

    assert await store.get(key, 7) is None


async def test_pages_that_fail_leave_the_revisions_alone(server: RedisServer, own: RedisConnection) -> None:
    with pytest.raises(Unavailable):
        await own.ask_bulk(("NO-SUCH-COMMAND",))

    assert own.is_usable
    assert (await own.ask(("PING",))).replies == [b"PONG"]
