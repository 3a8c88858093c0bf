"""Cancellations that say more than that."""

import asyncio


class CancelledInCommit(asyncio.CancelledError):
    """The request was given up while it was being committed, which goes on: it may become durable.

    A cancellation like every other to all but who gives the answer.
    """
