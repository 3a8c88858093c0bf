"""Cancellations that say more than that, and what becomes of work whose caller was cancelled."""

import asyncio
from typing import Any


class CancelledInCommit(asyncio.CancelledError):
    """The request was given up while it was being committed, which goes on: it may become durable.

    A cancellation like every other to all but who gives the answer.
    """


def is_cancelled() -> bool:
    """Tell whether the task that runs has been cancelled, and so should wait for nothing more."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def go_on_alone(work: "asyncio.Future[Any]") -> None:
    """Let `work` end without anybody who waits for it: asyncio would report a failure that is never looked at."""
    work.add_done_callback(_look_at)


def _look_at(work: "asyncio.Future[Any]") -> None:
    if not work.cancelled():
        work.exception()
