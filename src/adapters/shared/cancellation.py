"""Cancellations that say more than that, and what becomes of work whose caller was cancelled."""

import asyncio
from types import TracebackType
from typing import Any, Self


class CancelledInCommit(asyncio.CancelledError):
    """The request was given up while it was being committed, which goes on: it may become durable.

    A cancellation like every other to all but who gives the answer.
    """


def is_cancelled() -> bool:
    """Tell whether the task that runs has been cancelled, and so should wait for nothing more."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class CancellationKept:
    """A block that ends in the cancellation that came while it ran, even if what it awaits dropped it.

    `asyncio.wait_for` before Python 3.12 drops a cancellation that comes in the same turn of the loop as what it waits
    for (CPython issue 86296). asyncmy reads the network through it: of the tasks that are cancelled while they connect,
    up to a half would go on.
    """

    __slots__ = ("_before", "_task")

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()
        return self

    @property
    def was_dropped(self) -> bool:
        """Tell whether a cancellation has come that was not raised, as far as the block has run."""
        return self._task is not None and self._task.cancelling() > self._before

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if (exc is None or isinstance(exc, Exception)) and self.was_dropped:
            raise asyncio.CancelledError from exc


def detach(work: "asyncio.Future[Any]") -> None:
    """Let `work` end without anybody who waits for it: asyncio would report a failure that is never looked at."""
    work.add_done_callback(_retrieve_exception)


def _retrieve_exception(work: "asyncio.Future[Any]") -> None:
    if not work.cancelled():
        work.exception()
