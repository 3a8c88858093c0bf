"""What has waited for too long is answered all the same, and says what became of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.shared.cancellation import CancelledInCommit
from adapters.shared.request import note_commit
from application.shared.errors import OutcomeUnknown, Overloaded, StorageUnavailable, TransientFailure
from domain.posts.errors import PostNotFound
from domain.shared.errors import PosternError
from entrypoints.http.edge import deadlines
from entrypoints.http.edge.exchange import Exchange, Response
from entrypoints.http.edge.failures import _rarely
from entrypoints.http.edge.middleware import Edge
from tests.integration.http.asgi_client import scope_of

HOST = (b"host", b"testserver")
Handler = Callable[[Any, Any, Any], Awaitable[None]]
Told = tuple[int, Any, dict[bytes, bytes]]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(deadlines, "GRACE_SECONDS", 0.05)
    _rarely.forget()


async def answered(handler: Handler, method: str = "POST", *, seconds: float = 0.1, body_seconds: float = 0.0) -> Told:
    """Ask an application that `handler` is, while its lifespan lasts; return status, body and fields of the answer."""
    response: list[Any] = []
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await ended.wait()
        else:
            await handler(scope, receive, send)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(body_seconds)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        response.append(message)

    edge = Edge(app, allowed_hosts=["testserver"], cors_origins=(), deadline_seconds=seconds)
    lifespan = asyncio.create_task(edge({"type": "lifespan"}, receive, send))
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await edge(scope_of(method, "/api/v1/anything", [HOST]), receive, send)
        while not response:  # noqa: ASYNC110 - a server sets no events
            await asyncio.sleep(0.01)
    ended.set()
    await lifespan
    assert edge._deadlines.waiting == {}
    start, *rest = response
    assert [message["type"] for message in response].count("http.response.start") == 1
    body = b"".join(message["body"] for message in rest)
    return start["status"], json.loads(body) if body else None, dict(start["headers"])


async def for_ever(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive, send
    await asyncio.Event().wait()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_what_waits_for_ever_is_answered(method: str) -> None:
    status, body, fields = await answered(for_ever, method)

    assert status == 503
    assert body["type"] == "/problems/deadline-exceeded"
    assert fields[b"retry-after"] == b"1"


async def test_what_was_being_committed_is_in_doubt() -> None:
    async def commits(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise CancelledInCommit from None

    status, body, _ = await answered(commits)

    assert status == 503
    assert body["type"] == "/problems/outcome-unknown"
    assert "may have been carried out" in body["detail"]
    assert "Idempotency-Key" in body["detail"]


@pytest.mark.parametrize(("method", "slug"), [("GET", "deadline-exceeded"), ("PATCH", "outcome-unknown")])
async def test_what_waits_for_something_after_its_commit_is_in_doubt_when_it_writes(method: str, slug: str) -> None:
    async def commits_and_waits(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        note_commit()
        await asyncio.Event().wait()

    status, body, fields = await answered(commits_and_waits, method)

    assert (status, body["type"]) == (503, f"/problems/{slug}")
    assert fields[b"retry-after"] == b"1"


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("failure", [StorageUnavailable, Overloaded, TransientFailure])
async def test_what_fails_after_its_commit_is_in_doubt_when_it_writes(method: str, failure: type[PosternError]) -> None:
    async def commits_and_fails(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        note_commit()
        raise failure

    status, body, _ = await answered(commits_and_fails, method)

    assert status == 503
    assert body["type"] == f"/problems/{failure.slug if method == 'GET' else 'outcome-unknown'}"


async def test_what_is_wrong_with_a_request_stays_wrong_after_a_commit() -> None:
    async def commits_and_refuses(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        note_commit()
        raise PostNotFound

    assert (await answered(commits_and_refuses))[0] == 404


@pytest.mark.parametrize(("method", "slug"), [("GET", "deadline-exceeded"), ("POST", "outcome-unknown")])
async def test_what_does_not_even_end_when_it_is_cancelled_is_answered_for(method: str, slug: str) -> None:
    go_on = asyncio.Event()

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        del receive
        asyncio.get_running_loop().call_later(0.6, go_on.set)
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        # Too late: that goes nowhere.
        await Response(200, b"{}")(scope, None, send)

    status, body, _ = await answered(stubborn, method)

    assert status == 503
    assert body["type"] == f"/problems/{slug}"


async def test_what_answers_in_time_although_it_was_cancelled_is_answered_so() -> None:
    async def cleans_up(scope: Any, receive: Any, send: Any) -> None:
        del receive
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await Response(200, b"{}")(scope, None, send)

    assert (await answered(cleans_up))[0] == 200


async def test_a_cancellation_of_somebody_else_is_not_swallowed() -> None:
    task = asyncio.create_task(answered(for_ever, seconds=60))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_stream_has_no_deadline() -> None:
    async def long(scope: Any, receive: Any, send: Any) -> None:
        del receive
        Exchange.of(scope).is_stream = True
        await asyncio.sleep(0.5)
        await Response(200, b"{}")(scope, None, send)

    assert (await answered(long))[0] == 200


async def test_the_time_of_a_request_begins_when_its_body_is_whole() -> None:
    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await Response(200, b"{}")(scope, None, send)

    assert (await answered(reads, body_seconds=0.5))[0] == 200


async def test_an_answer_that_has_begun_is_not_broken_off() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        await asyncio.sleep(0.5)
        await send({"type": "http.response.body", "body": b"}", "more_body": False})

    assert (await answered(slow, "GET"))[0] == 200


@pytest.mark.parametrize("failure", [StorageUnavailable, OutcomeUnknown])
async def test_storage_that_fails_is_logged_once_a_minute(
    failure: type[StorageUnavailable], caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise failure("the database has no room (SQLITE_FULL: database or disk is full)")

    bodies = [(await answered(fails))[1] for _ in range(5)]

    (line,) = [record.getMessage() for record in caplog.records if record.name == "postern.http"]
    assert "SQLITE_FULL" in line
    assert not any(record.exc_info for record in caplog.records)
    assert not any("SQLITE" in str(body) for body in bodies)
    assert {body["type"] for body in bodies} == {f"/problems/{failure.slug}"}
