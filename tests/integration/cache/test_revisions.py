"""The promise of the cache over Redis: acknowledged writes are in the very next read, through every process.

Each test that breaks something warms the caches first, so that there is something stale to be served.
"""

import asyncio
import random
import time

import pytest

from adapters.cache.redis import RedisAuthorRevisions
from adapters.memory.fence import MemoryCacheFence
from adapters.memory.store import MemoryStore
from adapters.shared.redis import RedisConnection
from application.shared.errors import StorageUnavailable, TransientFailure
from application.shared.fence import CacheFence
from domain.identity.events import PasswordChanged, ProfileChanged
from domain.identity.user import User
from domain.posts.events import PostDeleted, PostEdited, PostPublished
from domain.shared.events import DomainEvent
from domain.shared.ids import PostId, UserId
from tests.builders import NOW, an_id
from tests.integration.cache.servers import LEASE, Cluster, Process, RedisServer, Wire, until, until_cached

MODERATOR = UserId(an_id())


async def warmed(cluster: Cluster, alice: User, *processes: Process) -> None:
    """Let every process hold a page that the next write makes stale."""
    await processes[0].publish(alice, "one")
    await until_cached(processes, alice.id)
    for process in processes:
        for _ in range(2):
            assert "one" in await process.read(alice.id)
        assert process.cache.statistics.hits > 0


async def test_a_page_is_served_from_memory_while_nothing_is_written(cluster: Cluster, alice: User) -> None:
    process = await cluster.join()
    await warmed(cluster, alice, process)
    before = process.cache.statistics

    for _ in range(20):
        await process.read(alice.id)

    assert process.cache.statistics.hits == before.hits + 20
    assert process.cache.statistics.misses == before.misses


async def test_a_page_that_one_process_loaded_another_takes_from_redis(cluster: Cluster, alice: User) -> None:
    ours, theirs = await cluster.join(), await cluster.join()
    await ours.publish(alice, "one")
    await until_cached([ours, theirs], alice.id)
    await ours.read(alice.id)
    await asyncio.sleep(0.05)

    assert "one" in await theirs.read(alice.id)

    assert theirs.cache.statistics.shared_hits == 1


async def test_an_acknowledged_write_is_in_the_next_read_through_every_process(cluster: Cluster, alice: User) -> None:
    processes = [await cluster.join() for _ in range(3)]
    await warmed(cluster, alice, *processes)

    for n in range(60):
        await processes[n % 3].publish(alice, f"write {n}.")
        for process in processes:
            assert f"write {n}." in await process.read(alice.id)


@pytest.mark.parametrize(
    "event",
    [
        PostPublished(at=NOW, post_id=PostId(an_id()), author_id=MODERATOR, version=1),
        PostEdited(at=NOW, post_id=PostId(an_id()), author_id=MODERATOR, version=2),
        PostDeleted(at=NOW, post_id=PostId(an_id()), author_id=MODERATOR, version=2, deleted_by=UserId(an_id())),
        ProfileChanged(at=NOW, user_id=MODERATOR),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_what_an_authors_list_shows_changes_the_authors_revision(cluster: Cluster, event: DomainEvent) -> None:
    process = await cluster.join()
    seen = {await process.revisions.current(MODERATOR)}

    for _ in range(5):
        await process.revisions.committed([event])
        seen.add(await process.revisions.current(MODERATOR))

    assert len(seen) == 6
    assert None not in seen


async def test_what_it_does_not_show_changes_nothing(cluster: Cluster, server: RedisServer) -> None:
    process = await cluster.join()
    before = await process.revisions.current(MODERATOR)

    await process.revisions.committed([PasswordChanged(at=NOW, user_id=MODERATOR)])
    await process.revisions.committed([])

    assert await process.revisions.current(MODERATOR) == before


async def test_one_commit_may_touch_several_authors(cluster: Cluster) -> None:
    process = await cluster.join()
    authors = [UserId(an_id()) for _ in range(3)]
    before = [await process.revisions.current(author) for author in authors]

    await process.revisions.committed([ProfileChanged(at=NOW, user_id=author) for author in authors[:2]])

    after = [await process.revisions.current(author) for author in authors]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


async def test_processes_agree_on_a_revision_that_nobody_has_set(cluster: Cluster) -> None:
    processes = [await cluster.join() for _ in range(3)]

    revisions = await asyncio.gather(*(process.revisions.current(MODERATOR) for process in processes * 5))

    assert len(set(revisions)) == 1
    assert None not in revisions


@pytest.mark.parametrize("lost", ["FLUSHALL", "DEL postern_test:epoch", "DEL postern_test:rev:{author}"])
async def test_a_revision_that_redis_forgot_does_not_come_back(
    cluster: Cluster, server: RedisServer, alice: User, lost: str
) -> None:
    ours, theirs = await cluster.join(), await cluster.join()
    await warmed(cluster, alice, ours, theirs)
    seen = {await theirs.revisions.current(alice.id)}

    for n in range(5):
        await ours.publish(alice, f"write {n}.")
        server.command(*lost.format(author=alice.id.hex).split())
        assert f"write {n}." in await theirs.read(alice.id)
        seen.add(await theirs.revisions.current(alice.id))

    assert len(seen) == 6


async def test_reads_and_writes_go_on_without_redis(cluster: Cluster, server: RedisServer, alice: User) -> None:
    ours, theirs = await cluster.join(), await cluster.join()
    await warmed(cluster, alice, ours, theirs)

    server.kill()
    for n in range(5):
        await ours.publish(alice, f"write {n}.")
        for process in (ours, theirs):
            assert f"write {n}." in await process.read(alice.id)


async def test_reads_and_writes_go_on_while_redis_is_frozen(cluster: Cluster, server: RedisServer, alice: User) -> None:
    ours, theirs = await cluster.join(), await cluster.join()
    await warmed(cluster, alice, ours, theirs)

    server.freeze()
    for n in range(5):
        await ours.publish(alice, f"write {n}.")
        for process in (ours, theirs):
            assert f"write {n}." in await process.read(alice.id)
    server.thaw()
    await until_cached([ours, theirs], alice.id)
    for process in (ours, theirs):
        assert "write 4." in await process.read(alice.id)


async def test_a_dead_redis_costs_the_first_reader_a_timeout_and_the_others_nothing(
    cluster: Cluster, server: RedisServer, alice: User
) -> None:
    process = await cluster.join()
    await warmed(cluster, alice, process)
    server.freeze()

    began = time.perf_counter()
    await process.read(alice.id)
    first = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(50):
        await process.read(alice.id)
    others = (time.perf_counter() - began) / 50

    assert first < 1.0
    assert others < 0.01


async def test_a_redis_that_restarted_empty_is_used_again(cluster: Cluster, server: RedisServer, alice: User) -> None:
    ours, theirs = await cluster.join(), await cluster.join()
    await warmed(cluster, alice, ours, theirs)
    server.kill()
    await ours.publish(alice, "two")

    server.start()
    await until_cached([ours, theirs], alice.id)

    for process in (ours, theirs):
        assert "two" in await process.read(alice.id)
    hits = theirs.cache.statistics.hits
    await theirs.read(alice.id)
    assert theirs.cache.statistics.hits == hits + 1


async def test_a_redis_that_restarted_from_an_old_snapshot_does_not_bring_old_pages_back(
    cluster: Cluster, server: RedisServer, alice: User
) -> None:
    ours, theirs = await cluster.join(), await cluster.join()
    await warmed(cluster, alice, ours, theirs)
    server.save()
    await ours.publish(alice, "two")  # Its new revision is not in the snapshot.
    server.kill()
    server.start()
    kept = server.keys()
    assert f"postern_test:rev:{alice.id.hex}" in kept, "the snapshot was loaded"

    await until_cached([ours, theirs], alice.id)

    for process in (ours, theirs):
        assert "two" in await process.read(alice.id)


async def test_a_process_cut_off_from_redis_makes_the_others_bypass_the_cache(
    cluster: Cluster, wire: Wire, alice: User
) -> None:
    """The others still reach Redis, which knows nothing of the write: only the fence can tell them."""
    ours, theirs = await cluster.join(url=wire.url), await cluster.join()
    await warmed(cluster, alice, ours, theirs)

    wire.cut()
    for n in range(5):
        await ours.publish(alice, f"write {n}.")
        for process in (ours, theirs):
            assert f"write {n}." in await process.read(alice.id)


async def test_the_fence_comes_down_when_redis_is_back_and_nothing_from_before_is_served(
    cluster: Cluster, wire: Wire, alice: User
) -> None:
    ours, theirs = await cluster.join(url=wire.url), await cluster.join()
    await warmed(cluster, alice, ours, theirs)
    wire.cut()
    await ours.publish(alice, "two")
    assert await MemoryCacheFence(cluster.store).is_up()

    wire.mend()
    await until_cached([ours, theirs], alice.id)

    assert not await MemoryCacheFence(cluster.store).is_up()
    for process in (ours, theirs):
        assert "two" in await process.read(alice.id)


async def test_only_the_first_write_without_redis_waits(cluster: Cluster, server: RedisServer, alice: User) -> None:
    process = await cluster.join()
    await warmed(cluster, alice, process)
    server.kill()
    times = []

    for n in range(4):
        began = time.perf_counter()
        await process.publish(alice, f"write {n}.")
        times.append(time.perf_counter() - began)

    assert times[0] >= LEASE
    assert max(times[1:]) < LEASE


async def test_concurrent_writes_without_redis_wait_together(
    cluster: Cluster, server: RedisServer, alice: User
) -> None:
    process = await cluster.join()
    await warmed(cluster, alice, process)
    server.kill()

    began = time.perf_counter()
    await asyncio.gather(*(process.publish(alice, f"write {n}.") for n in range(20)))

    assert LEASE <= time.perf_counter() - began < 5 * LEASE


async def test_a_process_that_dies_leaves_the_fence_up_for_longer_than_any_page_lives(
    cluster: Cluster, wire: Wire, alice: User
) -> None:
    now = 0.0
    fence = MemoryCacheFence(cluster.store, now=lambda: now)
    ours, theirs = await cluster.join(url=wire.url, fence=fence), await cluster.join()
    await warmed(cluster, alice, ours, theirs)
    wire.cut()
    await ours.publish(alice, "two")

    now = 300.0
    assert await fence.is_up()
    now = 400.0
    assert not await fence.is_up()


class BrokenFence(CacheFence):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def raise_for(self, seconds: float) -> None:
        raise self._error

    async def lower(self) -> None:
        raise self._error

    async def is_up(self) -> bool:
        return False


@pytest.mark.parametrize("error", [StorageUnavailable(), TransientFailure()])
async def test_a_write_that_cannot_be_made_visible_is_not_acknowledged(
    cluster: Cluster, server: RedisServer, alice: User, error: Exception
) -> None:
    """And not as `TransientFailure`, for which the use case would run again although it has committed."""
    process = await cluster.join(fence=BrokenFence(error))
    server.kill()

    with pytest.raises(StorageUnavailable):
        await process.publish(alice, "two")


class SlowFence(MemoryCacheFence):
    """A fence whose looks can be held up."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.gate = asyncio.Event()
        self.gate.set()

    async def is_up(self) -> bool:
        up = await super().is_up()
        await self.gate.wait()
        return up


async def test_a_process_that_cannot_see_the_fence_bypasses_the_cache_within_the_lease(
    cluster: Cluster, wire: Wire, alice: User
) -> None:
    slow = SlowFence(cluster.store)
    ours, theirs = await cluster.join(url=wire.url), await cluster.join(fence=slow)
    await warmed(cluster, alice, ours, theirs)

    slow.gate.clear()
    wire.cut()
    await ours.publish(alice, "two")

    assert "two" in await theirs.read(alice.id)
    slow.gate.set()


async def test_a_look_counts_from_when_it_began(cluster: Cluster, alice: User) -> None:
    """One that began before the fence went up, and comes back late, says nothing about now."""
    slow = SlowFence(cluster.store)
    process = await cluster.join(fence=slow)
    await warmed(cluster, alice, process)
    slow.gate.clear()
    await asyncio.sleep(LEASE * 1.5)  # A look is under way, and saw no fence.

    slow.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await process.revisions.current(alice.id) is None

    await until_cached([process], alice.id)


async def test_before_the_first_look_nothing_is_trusted(server: RedisServer) -> None:
    connection = RedisConnection(server.url)
    revisions = RedisAuthorRevisions(connection, MemoryCacheFence(MemoryStore()))

    assert await revisions.current(MODERATOR) is None

    await connection.close()


async def test_starting_and_stopping_twice_is_once(cluster: Cluster) -> None:
    process = await cluster.join()

    await process.revisions.start()
    await process.revisions.stop()
    assert await process.revisions.current(MODERATOR) is None
    await process.revisions.close()
    await process.revisions.start()

    assert await process.revisions.current(MODERATOR) is not None


async def test_stopping_lowers_the_fence_when_redis_is_back(cluster: Cluster, wire: Wire, alice: User) -> None:
    process = await cluster.join(url=wire.url)
    wire.cut()
    await process.publish(alice, "two")
    wire.mend()

    async def answers() -> bool:
        return process.connection.is_usable

    await until(answers)
    await process.revisions.stop()

    assert not await MemoryCacheFence(cluster.store).is_up()


async def test_stopping_without_redis_leaves_the_fence_up(cluster: Cluster, server: RedisServer, alice: User) -> None:
    process = await cluster.join()
    server.kill()
    await process.publish(alice, "two")

    await process.revisions.stop()

    assert await MemoryCacheFence(cluster.store).is_up()


async def test_a_caller_who_gives_up_does_not_keep_the_others_from_hearing_of_the_write(
    cluster: Cluster, server: RedisServer, alice: User
) -> None:
    ours, theirs = await cluster.join(), await cluster.join()
    await warmed(cluster, alice, ours, theirs)
    before = await theirs.revisions.current(alice.id)

    announcing = asyncio.create_task(ours.revisions.committed([ProfileChanged(at=NOW, user_id=alice.id)]))
    await asyncio.sleep(0)
    announcing.cancel()
    await asyncio.wait([announcing])
    await asyncio.sleep(0.1)

    assert announcing.cancelled()
    assert await theirs.revisions.current(alice.id) != before


async def test_a_lowering_that_failed_is_not_relied_on_and_tried_again(
    cluster: Cluster, wire: Wire, alice: User
) -> None:
    class NeverReady(MemoryCacheFence):
        refusals = 3

        async def lower(self) -> None:
            await super().lower()
            if self.refusals:
                self.refusals -= 1
                raise StorageUnavailable

    fence = NeverReady(cluster.store)
    process = await cluster.join(url=wire.url, fence=fence)
    wire.cut()
    await process.publish(alice, "two")
    wire.mend()

    async def refused() -> bool:
        return fence.refusals < 3

    await until(refused)
    wire.cut()
    began = time.perf_counter()
    await process.publish(alice, "three")
    assert await fence.is_up(), "it was down in truth, so it must have been raised again"
    assert time.perf_counter() - began >= LEASE

    wire.mend()

    async def gave_in() -> bool:
        return fence.refusals == 0 and not await fence.is_up()

    await until(gave_in)
    await until_cached([process], alice.id)


async def test_the_fence_is_renewed_before_it_gets_too_short(alice: User, server: RedisServer) -> None:
    now = 0.0
    raised: list[tuple[float, float]] = []

    class Noted(MemoryCacheFence):
        async def raise_for(self, seconds: float) -> None:
            raised.append((now, seconds))
            await super().raise_for(seconds)

    connection = RedisConnection(server.url)
    revisions = RedisAuthorRevisions(
        connection,
        Noted(MemoryStore()),
        page_ttl_seconds=300,
        lease_seconds=0.01,
        timer=lambda: now,
    )
    server.kill()
    event = ProfileChanged(at=NOW, user_id=alice.id)
    for moment in (0.0, 10.0, 29.0, 31.0, 32.0, 500.0):
        now = moment
        await revisions.committed([event])

    assert raised == [(0.0, 360.0), (31.0, 360.0), (500.0, 360.0)]
    await connection.close()


async def break_things(server: RedisServer, wire: Wire, faults: random.Random, *, until: float) -> None:
    """Kill, freeze, cut off, flush and restore, until that moment of the monotonic clock."""
    while time.monotonic() < until:
        match faults.choice(["kill", "restore", "freeze", "cut", "flush"]):
            case "kill":
                server.kill()
                await asyncio.sleep(faults.random() * 0.6)
                await asyncio.to_thread(server.start)
            case "restore":
                server.save()
                await asyncio.sleep(0.1)
                server.kill()
                await asyncio.to_thread(server.start)
            case "freeze":
                server.freeze()
                await asyncio.sleep(faults.random() * 0.8)
                server.thaw()
            case "cut":
                wire.cut()
                await asyncio.sleep(faults.random() * 0.8)
                wire.mend()
            case _:
                server.command("FLUSHALL")
        await asyncio.sleep(faults.random() * 0.8)


async def test_no_read_is_ever_stale_whatever_happens_to_redis(
    cluster: Cluster, server: RedisServer, wire: Wire, alice: User
) -> None:
    """One writer and six readers in three processes, one of them on a bad wire, while Redis suffers.

    A read must show the last write that was acknowledged before it began, or a later one.
    """
    processes = [await cluster.join(url=wire.url), await cluster.join(), await cluster.join()]
    await warmed(cluster, alice, *processes)
    await processes[0].publish(alice, "#0#")
    acknowledged, reads, ends_at = 0, 0, time.monotonic() + 9
    chance = random.Random(11)

    async def write() -> None:
        nonlocal acknowledged
        while time.monotonic() < ends_at:
            await chance.choice(processes).publish(alice, f"#{acknowledged + 1}#")
            acknowledged += 1
            await asyncio.sleep(chance.random() * 0.05)

    async def read(process: Process) -> None:
        nonlocal reads
        while time.monotonic() < ends_at:
            expected = acknowledged
            shown = int((await process.read(alice.id)).split("#")[1])
            assert shown >= expected, f"read #{shown} although #{expected} had been acknowledged"
            reads += 1
            await asyncio.sleep(chance.random() * 0.01)

    await asyncio.gather(
        write(),
        *(read(process) for process in processes * 2),
        break_things(server, wire, random.Random(5), until=ends_at - 1),
    )

    statistics = [process.cache.statistics for process in processes]
    assert acknowledged > 10
    assert reads > 500
    assert sum(each.hits for each in statistics) > 50, "the cache was in use"
    assert sum(each.bypasses for each in statistics) > 50, "and it was bypassed"
