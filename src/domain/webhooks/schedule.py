"""When a delivery is tried, as Standard Webhooks recommends."""

from datetime import timedelta

WAITS: tuple[timedelta, ...] = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long after the one before each attempt is made: ten in all, over three days and some hours."""

JITTER = 0.2
"""By up to this part each wait is longer, so that what failed together is not tried again together."""

LONGEST_WAIT = timedelta(hours=24)
"""However long a receiver asks to be left alone (`Retry-After`)."""


def wait_before(attempt: int, *, random: float, asked_for: timedelta | None = None) -> timedelta | None:
    """Return how long to wait before the attempt of this number (the first is 0); None: there is none.

    `random` is drawn from [0, 1). What the receiver asks for counts where it is longer than the schedule.
    """
    if attempt >= len(WAITS):
        return None
    wait = WAITS[attempt] * (1 + JITTER * random)
    return wait if asked_for is None else max(wait, min(asked_for, LONGEST_WAIT))
