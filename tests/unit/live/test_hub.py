"""The hub over the event log in memory: who gets what, once and in order, and what is bounded."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from adapters.live import hub as hub_module
from adapters.live import stream as stream_module
from adapters.live.commit_signal import CommitSignal
from adapters.live.hub import LiveHub
from adapters.live.sse import event_format
from adapters.live.stream import LiveStream
from adapters.memory.event_log import MemoryEventLog
from adapters.memory.store import MemoryStore
from application.events.live import Reader, TooManyStreams
from application.events.views import Envelopes
from application.shared.errors import Overloaded, StorageUnavailable
from application.shared.event_log import LoggedEvent
from domain.posts.events import PostEdited
from domain.shared.ids import PostId, UserId
from tests.builders import NOW, an_id
from tests.waiting import until

ALICE, BOB = UserId(an_id(NOW)), UserId(an_id(NOW))
ANYBODY = Reader()


class FaultyLog(MemoryEventLog):
    """The log in memory, which can be told to be out of reach, and counts how often it is asked."""

    is_down = False
    asked = 0
    committed: tuple[Callable[[], object], ...] = ()
    """What was committed and has no position yet."""

    async def assign_positions(self, *, limit: int = 1000) -> int:
        self.asked += 1
        if self.is_down:
            raise StorageUnavailable
        now, self.committed = self.committed[:limit], self.committed[limit:]
        for happens in now:
            happens()
        return len(now)


class WatchedBell(CommitSignal):
    """Counts who waits for it."""

    waiting = 0

    async def wait(self, seconds: float) -> None:
        self.waiting += 1
        try:
            await super().wait(seconds)
        finally:
            self.waiting -= 1


@dataclass
class Stage:
    """A hub, what happens, and the time."""

    store: MemoryStore = field(default_factory=MemoryStore)
    commit_signal: WatchedBell = field(default_factory=WatchedBell)
    time: float = 1000.0
    enveloped: int = 0
    swept: int = 0
    """How often a hub began to look after its streams."""

    def __post_init__(self) -> None:
        self.log = FaultyLog(self.store)
        self.envelopes = Envelopes(api="https://example.org/api/v1")

    def envelope(self, event: LoggedEvent) -> bytes:
        self.enveloped += 1
        return self.envelopes(event)

    async def sweep(self) -> None:
        """Return once a hub has looked after its streams at the time that it is now."""
        begun = self.swept
        await until(lambda: self.swept >= begun + 2)

    async def look(self) -> None:
        """Return once a hub has asked for all that has happened by now."""
        asked = self.log.asked
        await until(lambda: self.log.asked >= asked + 2)

    def open_hub(self, *, max_streams: int = 100, max_streams_of_one: int = 100, poll_seconds: float = 0.01) -> LiveHub:
        worded = event_format(self.envelope)

        def beat(position: int) -> bytes:
            self.swept += 1
            return worded.heartbeat(position)

        return LiveHub(
            self.log,
            self.commit_signal,
            replace(worded, heartbeat=beat),
            max_streams=max_streams,
            max_streams_of_one=max_streams_of_one,
            timer=lambda: self.time,
            poll_seconds=poll_seconds,
        )

    def happens(
        self, type: str = "post.edited", *, owner: UserId | None = None, public: bool = True, **data: Any
    ) -> int:
        """Let something happen, and return its position."""
        position = self.store.events[-1].position + 1 if self.store.events else 1
        self.store.events.append(
            LoggedEvent(
                position=position,
                id=an_id(NOW),
                type=type,
                version=1,
                subject=an_id(NOW),
                owner_id=owner,
                public=public,
                time=NOW,
                data=json.dumps(data).encode(),
            )
        )
        return position


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    # How long a stream may take is by the stage's time; how soon that is looked at is by the machine's.
    monkeypatch.setattr(hub_module, "SWEEP_SECONDS", 0.01)
    return Stage()


@pytest.fixture
async def hub(stage: Stage) -> AsyncIterator[LiveHub]:
    opened = stage.open_hub()
    yield opened
    await opened.close()


@dataclass(frozen=True)
class Block:
    """What a reader makes of a block."""

    id: int
    event: str | None
    data: Any

    @staticmethod
    def read(text: str) -> "Block":
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        data = json.loads(fields["data"]) if "data" in fields else None
        return Block(int(fields["id"]), fields.get("event"), data)


class Aborting:
    """Counts how often a connection was to be broken off."""

    times = 0

    def __call__(self) -> bool:
        self.times += 1
        return True


class Listener:
    """Reads a stream as a client would."""

    def __init__(self, stream: LiveStream) -> None:
        self.stream = stream
        self.blocks: list[Block] = []

    async def read(self) -> bool:
        piece = await self.stream.next()
        if piece is None:
            return False
        assert piece.endswith(b"\n\n")
        self.blocks += [Block.read(text) for text in piece.decode().split("\n\n")[:-1]]
        return True

    @property
    def events(self) -> list[Block]:
        return [block for block in self.blocks if block.event is not None]

    async def until(self, condition: Callable[["Listener"], bool]) -> "Listener":
        async with asyncio.timeout(10):
            while not condition(self):
                assert await self.read(), "the stream has ended"
        return self

    async def events_to(self, position: int) -> list[int]:
        await self.until(lambda listener: bool(listener.events) and listener.events[-1].id >= position)
        return [block.id for block in self.events]


async def listen(
    hub: LiveHub, reader: Reader = ANYBODY, *, caller: object = "somebody", after: int | None = None, **options: Any
) -> Listener:
    return Listener(await hub.open(reader, caller, after=after, **options))


async def test_a_stream_begins_now_and_says_where_that_is(stage: Stage, hub: LiveHub) -> None:
    stage.happens()
    listener = await listen(hub)
    after = stage.happens()

    assert await listener.events_to(after) == [after]
    assert listener.blocks[0] == Block(1, None, None)


async def test_what_was_committed_while_nobody_listened_is_not_told_as_new(stage: Stage, hub: LiveHub) -> None:
    """Where no relay runs, nobody else gives events their positions."""
    stage.log.committed = (stage.happens,) * 2_500
    listener = await listen(hub)
    after = stage.happens()

    assert await listener.events_to(after) == [after] == [2_501]
    assert listener.blocks[0] == Block(2_500, None, None)


async def test_an_event_is_an_envelope_on_one_line_under_its_type(stage: Stage, hub: LiveHub) -> None:
    stream = await hub.open(ANYBODY, "somebody")
    stage.happens("post.edited", post_id="x", version=2)
    await stream.next()
    piece = await stream.next()

    assert piece is not None
    id_, type_, data, end = piece.split(b"\n", 3)
    assert (id_, type_, end) == (b"id: 1", b"event: post.edited", b"\n")
    envelope = json.loads(data.removeprefix(b"data: "))
    assert envelope["specversion"] == "1.0"
    assert envelope["sequence"] == "00000000000000000001"
    assert envelope["data"] == {"post_id": "x", "version": 2}


async def test_everybody_sees_that_somebody_voted_and_only_the_voter_who(stage: Stage, hub: LiveHub) -> None:
    anybody, bob, alice = [
        await listen(hub, reader) for reader in (ANYBODY, Reader(user_id=BOB), Reader(user_id=ALICE))
    ]
    position = stage.happens("vote.cast", owner=ALICE, post_id="x", score=1, voter_id=str(ALICE))

    for listener in (anybody, bob):
        await listener.events_to(position)
        assert listener.events[0].data["data"] == {"post_id": "x", "score": 1}
    await alice.events_to(position)
    assert alice.events[0].data["data"] == {"post_id": "x", "score": 1, "voter_id": str(ALICE)}


@pytest.mark.parametrize("resumed", [False, True])
async def test_what_is_private_goes_to_its_owner_alone(stage: Stage, hub: LiveHub, *, resumed: bool) -> None:
    readers = (ANYBODY, Reader(user_id=BOB), Reader(user_id=ALICE))

    async def everybody() -> list[Listener]:
        return [await listen(hub, reader, after=0 if resumed else None) for reader in readers]

    await listen(hub)  # so that the hub follows the log
    listeners = [] if resumed else await everybody()
    private = stage.happens("order.placed", owner=ALICE, public=False)
    stage.happens("order.status_changed", owner=None, public=False)
    last = stage.happens()
    await until(lambda: hub.position == last)
    listeners = listeners or await everybody()

    assert [await listener.events_to(last) for listener in listeners] == [[last], [last], [private, last]]


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_reader_may_choose_types(stage: Stage, hub: LiveHub, *, resumed: bool) -> None:
    reader = Reader(user_id=ALICE, types=frozenset({"post.published", "order.placed"}))
    listener = await listen(hub, reader, after=0 if resumed else None)
    stage.happens("post.edited", owner=ALICE)
    wanted = [stage.happens("post.published"), stage.happens("order.placed", owner=ALICE, public=False)]

    assert await listener.events_to(wanted[-1]) == wanted


async def test_whoever_resumes_in_the_middle_of_a_storm_misses_nothing_and_gets_nothing_twice(
    stage: Stage, hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "PAGE", 7)
    monkeypatch.setattr(hub_module, "GATHER_AT_LEAST_SECONDS", 0.001)
    early = await listen(hub)
    for _ in range(50):
        stage.happens()
    late: list[tuple[int, Listener]] = []
    readings: list[asyncio.Task[list[int]]] = []

    async def storm() -> None:
        for number in range(600):
            stage.happens("post.edited", owner=ALICE)
            if number % 20 == 0:
                after = number // 2
                late.append((after, await listen(hub, Reader(user_id=ALICE) if number % 40 else ANYBODY, after=after)))
                readings.append(asyncio.create_task(late[-1][1].events_to(650)))
            if number % 3 == 0:
                await asyncio.sleep(0)

    await storm()
    assert await early.events_to(650) == list(range(1, 651))
    for (after, _), reading in zip(late, readings, strict=True):
        assert await reading == list(range(after + 1, 651))
    assert len(late) == 30


async def test_a_resumed_stream_says_where_it_begins(stage: Stage, hub: LiveHub) -> None:
    stage.happens()
    stage.happens()
    listener = await listen(hub, after=1)

    assert await listener.events_to(2) == [2]
    assert listener.blocks[0] == Block(1, None, None)


@pytest.mark.parametrize("why", ["it is no longer kept", "it is too long ago", "it never was"])
async def test_what_cannot_be_had_any_more_is_said_and_the_stream_goes_on(
    stage: Stage, hub: LiveHub, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(hub_module, "CATCH_UP_EVENTS", 20)
    for _ in range(30):
        stage.happens()
    after = {"it is no longer kept": 10, "it is too long ago": 9, "it never was": 31}[why]
    if why == "it is no longer kept":
        del stage.store.events[:11]
    listener = await listen(hub, after=after)
    later = stage.happens()

    assert await listener.events_to(later) == [30, later]
    assert [block.event for block in listener.events] == ["reset", "post.edited"]
    assert listener.events[0].data == {"position": "30"}


async def test_the_longest_way_back_is_read_in_full(
    stage: Stage, hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "CATCH_UP_EVENTS", 20)
    for _ in range(30):
        stage.happens()
    del stage.store.events[:10]

    assert await (await listen(hub, after=10)).events_to(30) == list(range(11, 31))


async def test_a_reader_who_takes_nothing_is_cut_and_nothing_more_is_kept(
    stage: Stage, hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "QUEUE_BYTES", 20_000)
    aborting = Aborting()
    slow = await listen(hub, abort=aborting)
    quick = await listen(hub)
    await slow.read()
    for _ in range(100):
        last = stage.happens()
        await quick.events_to(last)

    assert aborting.times == 1
    assert slow.stream.was_cut
    assert slow.stream.waiting_bytes == 0
    assert await slow.stream.next() is None
    assert len(quick.events) == 100


async def test_the_queue_of_a_stream_never_holds_more_than_it_may(stage: Stage, hub: LiveHub) -> None:
    slow = await listen(hub)
    quick = await listen(hub)
    await slow.read()
    most = last = 0
    for _ in range(60):
        for _ in range(50):
            last = stage.happens(padding="x" * 400)
        await quick.events_to(last)
        most = max(most, slow.stream.waiting_bytes)

    assert 100_000 < most <= stream_module.QUEUE_BYTES
    assert slow.stream.was_cut


async def test_a_write_that_takes_too_long_ends_in_a_cut(stage: Stage, hub: LiveHub) -> None:
    aborting = Aborting()
    listener = await listen(hub, abort=aborting)
    await listener.read()  # From now on it is being written.
    stage.time += stream_module.WRITE_SECONDS
    await stage.sweep()
    assert aborting.times == 0
    stage.time += 0.1
    await stage.sweep()

    assert aborting.times == 1
    assert not await listener.read()


async def test_silence_is_broken_with_the_position_to_resume_from(stage: Stage, hub: LiveHub) -> None:
    listener = await listen(hub, Reader(types=frozenset({"post.deleted"})))
    await listener.read()
    reading = asyncio.create_task(listener.read())
    passed_by = stage.happens()
    await stage.look()
    await stage.sweep()
    assert not reading.done()
    stage.time += stream_module.BEAT_SECONDS

    async with asyncio.timeout(5):
        assert await reading
    assert listener.blocks[-1] == Block(passed_by, None, None)


async def test_a_caller_who_may_no_longer_listen_hears_nothing_more(stage: Stage, hub: LiveHub) -> None:
    is_over = False
    listener = await listen(hub, Reader(user_id=ALICE), is_over=lambda: is_over)
    await listener.read()
    reading = asyncio.create_task(listener.read())
    is_over = True

    async with asyncio.timeout(20):
        assert not await reading
    assert not listener.stream.was_cut


async def test_one_caller_has_so_many_streams_and_all_together_have_so_many(stage: Stage) -> None:
    async with aclosing(Closing(stage.open_hub(max_streams=3, max_streams_of_one=2))) as closing:
        hub = closing.hub
        first = await listen(hub, caller="alice")
        await listen(hub, caller="alice")
        with pytest.raises(TooManyStreams):
            await listen(hub, caller="alice")
        await listen(hub, caller="bob")
        with pytest.raises(Overloaded):
            await listen(hub, caller="carol")
        assert len(hub) == 3

        first.stream.close()
        first.stream.close()
        assert len(hub) == 2
        await listen(hub, caller="alice")


async def test_a_stream_that_could_not_begin_does_not_count(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with aclosing(Closing(stage.open_hub(max_streams=1))) as closing:

        async def fails() -> int:
            raise StorageUnavailable

        monkeypatch.setattr(stage.log, "head", fails)
        with pytest.raises(StorageUnavailable):
            await listen(closing.hub)
        monkeypatch.undo()
        assert len(closing.hub) == 0
        await listen(closing.hub)


async def test_the_log_is_asked_only_while_somebody_listens(stage: Stage, hub: LiveHub) -> None:
    before = asyncio.all_tasks()
    assert stage.log.asked == 0
    listener = await listen(hub)
    await stage.look()
    listener.stream.close()
    await until(lambda: asyncio.all_tasks() == before)  # Nothing is left that could ask.

    # What happens meanwhile is not for who comes later, and who comes later is heard again.
    stage.happens()
    listener = await listen(hub)
    later = stage.happens()
    assert await listener.events_to(later) == [later]


async def test_a_commit_of_this_process_is_looked_for_at_once(stage: Stage) -> None:
    async with aclosing(Closing(stage.open_hub(poll_seconds=600))) as closing:
        listener = await listen(closing.hub)
        await listener.read()
        for _ in range(3):
            await until(lambda: stage.commit_signal.waiting == 1)
            position = stage.happens()
            await stage.commit_signal.committed(
                [PostEdited(at=NOW, post_id=PostId(an_id(NOW)), author_id=ALICE, version=2)]
            )
            await listener.events_to(position)


async def test_nothing_is_lost_while_the_storage_is_away(
    stage: Stage, hub: LiveHub, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen(hub)
    stage.log.is_down = True
    first = stage.happens()
    await stage.look()
    assert len(caplog.records) == 1, "told once, however often it is tried"
    stage.log.is_down = False

    assert await listener.events_to(first) == [first]


async def test_a_fault_of_the_hub_ends_the_streams_and_not_the_hub(
    stage: Stage, hub: LiveHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen(hub)

    async def breaks(*, after: int, limit: int) -> list[LoggedEvent]:
        raise ZeroDivisionError(after, limit)

    monkeypatch.setattr(stage.log, "read", breaks)
    async with asyncio.timeout(5):
        while await listener.read():
            pass
    listener.stream.close()
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()

    again = await listen(hub)
    position = stage.happens()
    assert await again.events_to(position) == [position]


async def test_a_server_that_stops_hangs_up_on_everybody(stage: Stage, hub: LiveHub) -> None:
    idle, aborting = await listen(hub), Aborting()
    stuck = await listen(hub, abort=aborting)
    await idle.read()
    reading = asyncio.create_task(idle.read())
    await stuck.read()
    await asyncio.sleep(0)
    hub.hang_up()

    assert not await reading
    stage.time += 1
    await stage.sweep()
    assert aborting.times == 1
    with pytest.raises(Overloaded):
        await listen(hub)


async def test_an_event_is_put_into_words_once_for_all_who_see_the_same(stage: Stage, hub: LiveHub) -> None:
    listeners = [await listen(hub) for _ in range(50)]
    listeners += [await listen(hub, Reader(user_id=BOB)) for _ in range(20)]
    position = stage.happens("vote.cast", owner=ALICE, voter_id=str(ALICE))
    for listener in listeners:
        await listener.events_to(position)

    assert stage.enveloped == 1


class Closing:
    """A hub that is closed by the end of a block."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub

    async def aclose(self) -> None:
        await self.hub.close()
