"""What runs in the background: which loops there are, and that none of them ends for good when it fails."""

import ast
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.cache.redis import RedisAuthorRevisions
from adapters.security.revocations import KnownRevocations, PolledRevocations
from adapters.shared.redis_shared_connection import SharedConnection
from adapters.shared.supervision import Failures, counted, supervise
from adapters.system.background import TaskBackground
from adapters.system.periodic import Periodic
from adapters.system.worker import Worker
from adapters.telemetry import request_log
from adapters.telemetry.request_log import RequestLine, RequestLog
from application.identity.ports import RevocationLog
from application.identity.revocations import Revocation
from application.shared.errors import Unavailable
from tests.builders import NOW
from tests.waiting import until

SRC: Final = Path(__file__).parents[3] / "src"

LOOPS: Final = {
    "adapters/cache/redis.py:start": "supervised",
    "adapters/security/revocations.py:start": "supervised",
    "adapters/shared/redis_shared_connection.py:_open_breaker": "supervised",
    "adapters/system/background.py:submit": "supervised",
    "adapters/system/periodic.py:start": "supervised",
    "adapters/system/clock_sync.py:start": "supervised",
    "adapters/system/worker.py:start": "supervised",
    "adapters/live/hub.py:_started": "ends its streams, whose readers come back and begin it again",
    "adapters/telemetry/request_log.py:_hand_over": "begun again with the next line",
    "adapters/shared/redis_shared_connection.py:_ask": "begun with each batch; who waits is turned away when it fails",
    "adapters/sql/batched_lookups.py:_begin": "begun with each batch, and again when it fails and others wait",
    "adapters/sql/engine/fast/servers/group_commit.py:_begin": (
        "begun with each batch, and again when it fails and others wait"
    ),
    "adapters/sql/engine/fast/sqlite/group_commit.py:run": "begun with each batch; who waits hears of its failure",
    "entrypoints/cli/worker.py:_end_with_the_parent": "waits for one thing, the end of the parent",
}
"""Where something is begun that goes on by itself, and what becomes of it when it fails."""
JOBS: Final = frozenset(
    {
        "adapters/cache/feed.py:_begin",
        "adapters/cache/pages.py:spawn",
        "adapters/cache/redis.py:committed",
        "adapters/mail/queue.py:enqueue",
        "adapters/memory/unit_of_work.py:commit",
        "adapters/security/api_key_directory.py:_read",
        "adapters/security/revocations.py:_read",
        "adapters/sql/health.py:_check_writes",
        "adapters/sql/engine/fast/servers/pool.py:_close",
        "adapters/sql/engine/fast/servers/pool.py:close",
        "adapters/sql/engine/fast/servers/group_commit.py:_commit_jobs",
        "adapters/sql/engine/fast/sqlite/engine.py:_look",
        "adapters/sql/engine/fast/sqlite/group_commit.py:_run_group",
        "adapters/sql/engine/fast/sqlite/units.py:close",
        "adapters/sql/unit_of_work.py:commit",
        "adapters/webhooks/dispatcher.py:_start",
        "adapters/webhooks/resolver.py:resolve",
        "entrypoints/cli/worker.py:_begin",
        "entrypoints/cli/worker.py:attend",
        "entrypoints/http/edge/conditional.py:_compress_aside",
        "entrypoints/http/edge/deadlines.py:_give_up",
        "entrypoints/http/edge/exchange.py:__call__",
        "entrypoints/http/live/event_stream.py:__call__",
    }
)
"""Where one job is begun, which ends by itself and concerns whoever set it off."""


BEGINNERS: Final = frozenset({"create_task", "ensure_future", "Thread"})


def _begun() -> dict[str, str]:
    """Return the source of every call that begins a task or a thread, by file and function."""
    found: dict[str, str] = {}
    for path in sorted(SRC.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not any(name in source for name in BEGINNERS):  # Parsing all of them takes seconds.
            continue
        for function in ast.walk(ast.parse(source)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and _name(call) in BEGINNERS:
                        found[f"{path.relative_to(SRC).as_posix()}:{function.name}"] = ast.unparse(call)
    return found


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_everything_that_goes_on_by_itself_is_begun_again_when_it_fails() -> None:
    begun = _begun()
    # Whatever is new here is a loop or a job. A loop goes through `supervise`.
    assert set(begun) == LOOPS.keys() | JOBS
    for where, how in LOOPS.items():
        assert ("supervise(" in begun[where]) == (how == "supervised"), where


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what was begun again be so without a pause."""
    monkeypatch.setattr(supervise, "__kwdefaults__", {"first_pause_seconds": 0.001, "longest_pause_seconds": 0.004})


def fails(times: int, then: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    left = times

    async def call() -> Any:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError("nobody had foreseen this")
        return await then()

    return call


async def test_a_loop_that_fails_is_begun_again_and_one_that_returns_is_not() -> None:
    begun = 0

    async def loop() -> None:
        nonlocal begun
        begun += 1
        if begun < 8:
            raise RuntimeError

    before = counted["a test"]
    await supervise("a test", loop)
    assert begun == 8
    assert counted["a test"] - before == 7


async def test_pauses_grow_while_it_keeps_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("adapters.shared.supervision.asyncio.sleep", sleep)

    async def nothing() -> None:
        return

    await supervise("a test", fails(6, nothing), first_pause_seconds=1, longest_pause_seconds=10)
    assert pauses == [1, 2, 4, 8, 10, 10]


def test_a_failure_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    monkeypatch.setattr("adapters.shared.supervision.time.monotonic", lambda: now)
    failures = Failures("a test")
    for _ in range(130):
        failures.note(RuntimeError("again"))
        now += 1
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "a test failed and will be tried again",
        "a test failed and will be tried again (59 more times since this was last said)",
        "a test failed and will be tried again (59 more times since this was last said)",
    ]
    assert all(record.exc_info for record in caplog.records)


async def test_a_cancelled_loop_is_not_begun_again() -> None:
    task = asyncio.create_task(supervise("a test", asyncio.Event().wait))  # type: ignore[arg-type] # it waits for ever
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_worker_survives_its_step_and_itself() -> None:
    done = 0

    async def step() -> int:
        nonlocal done
        done += 1
        if done == 2:
            raise RuntimeError
        return 0

    def random() -> float:
        if done == 4:  # Of its own doing: drawing a pause.
            raise RuntimeError
        return 0.0

    worker = Worker("a step", step, random=random, idle_seconds=0.001)
    before = counted["a step"]
    await worker.start()
    await until(lambda: done > 5)
    await worker.close()
    assert counted["a step"] - before == 2


async def test_what_is_due_again_and_again_survives_its_work() -> None:
    done = 0

    async def work() -> None:
        nonlocal done
        done += 1

    periodic = Periodic("a sweep", fails(3, work), seconds=0.001)
    before = counted["a sweep"]
    await periodic.start()
    await until(lambda: done > 2)
    await periodic.close()
    assert counted["a sweep"] - before == 3


class _OddLog(RevocationLog):
    def __init__(self) -> None:
        self.asked = 0

    async def since(self, seconds: float) -> Sequence[Revocation]:
        self.asked += 1
        if self.asked in {2, 3}:
            raise RuntimeError
        return []

    async def purge(self, *, older_than_seconds: float, limit: int) -> int:
        return 0


async def test_the_watch_over_revocations_survives_what_it_had_not_foreseen() -> None:
    log, loop = _OddLog(), asyncio.get_running_loop()
    known = KnownRevocations(timer=loop.time)
    watch = PolledRevocations(log, known, token_lifetime_seconds=60, timer=loop.time, poll_seconds=0.001)
    await watch.start()
    await until(lambda: log.asked > 5)
    await watch.close()


class _OddFence:
    def __init__(self) -> None:
        self.asked = 0

    async def is_up(self) -> bool:
        self.asked += 1
        if self.asked in {2, 3}:
            raise RuntimeError
        return False


async def test_the_watch_over_the_fence_survives_what_it_had_not_foreseen() -> None:
    fence: Any = _OddFence()
    revisions = RedisAuthorRevisions(SharedConnection("a test", lambda: None), fence, lease_seconds=0.004)  # type: ignore[arg-type, return-value] # neither is asked
    await revisions.start()
    await until(lambda: fence.asked > 5)
    await revisions.close()


class _OddConnection:
    """Fails as uvloop does when a proxy accepts and closes, and then by what its own code has wrong."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    async def connect(self) -> None:
        if self.made in {1, 2}:
            raise RuntimeError("Transport does not expose socket instance")

    def pack_commands(self, commands: Any) -> Any:
        return commands

    async def send_packed_command(self, *_: Any, **__: Any) -> None:
        return

    async def read_response(self, **_: Any) -> Any:
        return b"run_id:1"

    async def disconnect(self, **_: Any) -> None:
        return


async def test_redis_is_tried_again_after_what_nobody_had_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    _OddConnection.made = 0
    made: Any = _OddConnection
    lane = SharedConnection("a test", made)
    monkeypatch.setattr("adapters.shared.redis_shared_connection.FIRST_RETRY_SECONDS", 0.001)
    with pytest.raises(Unavailable):
        await lane.ask([("PING",)])
    assert not lane.is_usable
    await until(lambda: lane.is_usable)
    assert (await lane.ask([("PING",)])).replies == [b"run_id:1"]
    assert _OddConnection.made == 3
    await lane.close()


async def test_background_jobs_survive_one_that_fails() -> None:
    done: list[int] = []
    background = TaskBackground(workers=1, delay_seconds=0)

    async def job() -> None:
        done.append(1)

    before = counted["background jobs"]
    background.submit(fails(1, job))
    background.submit(job)
    await background.idle()
    await background.close()
    assert done == [1]
    assert counted["background jobs"] - before == 1


async def test_the_thread_of_the_request_log_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = RequestLine(NOW, "info", "GET", "/x", 200, 0.1, 2, "id", "::1")
    reading, writing = os.pipe()
    log = RequestLog(writing)
    pieces, odd = request_log._pieces, True

    def failing(data: bytes) -> Any:
        if odd:
            raise RuntimeError
        return pieces(data)

    monkeypatch.setattr(request_log, "_pieces", failing)
    log.add(line)
    log.flush()
    thread = log._thread
    assert thread is not None
    await asyncio.to_thread(thread.join)
    odd = False
    log.add(line)
    await log.close()
    assert b'"route":"/x"' in os.read(reading, 4096)
    for descriptor in (reading, writing):
        os.close(descriptor)
