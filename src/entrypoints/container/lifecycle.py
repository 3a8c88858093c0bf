"""What a process starts in the background, and in which order it lets go."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from adapters.system.periodic import Periodic
from adapters.telemetry.board import WRITE_SECONDS
from entrypoints.container import Container

_SWEEP_SECONDS = 300.0


@asynccontextmanager
async def running(container: Container) -> AsyncIterator[None]:
    """Start what lives in the background; in the end let go of everything, the database last of all.

    The order matters at the end: what is still being hashed may want to be stored, a revision that could not be
    announced raises its fence in the database, and Redis is asked to invalidate before that fence is lowered.
    Each step is taken even when one before it fails.
    """
    revisions, redis, counting = container.redis_revisions(), container.redis(), container.rate_limit_redis()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.storage().close)
        await _begin_telemetry(container, stack)
        if (guard := container.connection_guard()) is not None:
            stack.push_async_callback(guard.close)
            await guard.start()
        for connection in (redis, counting):
            if connection is not None:
                stack.push_async_callback(connection.close)
        keeper = container.clock_synchronizer()
        stack.push_async_callback(keeper.close)
        await keeper.start()  # First of all: what follows may go by the time.
        if revisions is not None:
            stack.push_async_callback(revisions.close)
            await revisions.start()
        revocations = container.revocations()
        stack.push_async_callback(revocations.close)
        await revocations.start()
        storage, clock = container.storage(), container.clock()
        for name, purge in (
            ("purging past ranks", lambda: storage.purge_rank_history(clock.now())),
            ("purging mailed tokens", lambda: storage.purge_one_time_tokens(clock.now())),
            ("purging idempotency keys", container.idempotency().purge),
        ):
            sweeper = Periodic(name, purge, seconds=_SWEEP_SECONDS)
            stack.push_async_callback(sweeper.close)
            await sweeper.start()
        if (publisher := container.publisher()) is not None:
            stack.push_async_callback(publisher.close)
        stack.push_async_callback(container.live_hub().close)
        stack.push_async_callback(container.hasher().close)
        stack.push_async_callback(container.mail_queue().close)
        stack.push_async_callback(container.background().close)  # before the mails, which it may still make
        yield


async def _begin_telemetry(container: Container, stack: AsyncExitStack) -> None:
    """Let the other workers see this one's numbers every second, and write the log to its end."""
    board, log = container.metrics_board(), container.request_log()
    board.write()  # A worker counts as living from the start.
    stack.callback(board.close)
    if log is not None:
        stack.push_async_callback(log.close)

    async def write() -> None:
        board.write()

    writer = Periodic("writing metrics", write, seconds=WRITE_SECONDS)
    stack.push_async_callback(writer.close)
    await writer.start()
