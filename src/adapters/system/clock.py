"""Clocks: the machine's, and the one that all processes over one database share."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from application.shared.clock import Clock, TimeReading
from domain.shared.ids import timestamp_of

_IGNORED_SECONDS: Final = 1.0
"""By how much the newest id may be ahead of storage's clock before that means anything: what clocks that were read
over a busy network differ by."""
_FOLLOWED_SECONDS: Final = 86_400.0
"""How far ahead of storage's clock the newest id is followed; one further ahead was made by a clock that was wrong."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class SystemClock(Clock):
    """Wall-clock time of this machine; how well it agrees with other machines is the operator's (NTP)."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def timestamp(self) -> float:
        return time.time()


class SharedClock(Clock):
    """The database's time, carried on by this machine's timer between readings. It never runs backwards.

    All that processes compare goes by it, so the clocks of their hosts need not agree. A reading bounds the difference
    between timer and database from both sides, by when it was asked for and when it was answered. As long as what is
    assumed lies within, nothing changes; else it moves to the nearer bound. So a slow answer does no harm.

    Where the database is ahead, the clock follows at once. Where the database is behind (its clock was set back, or
    another server with another clock took over), the clock runs at half speed until the database has caught up. The
    newest id in storage counts as well, if it is ahead of the database by more than a second and less than a day:
    other processes still run ahead, or ran ahead until a moment ago, and one that starts now joins them. Then what is
    made next sorts above what is there, and two processes agree about when.

    Until the first reading it is the clock of this machine.
    """

    __slots__ = ("_ahead", "_ahead_since", "_host", "_is_read", "_last", "_offset", "_timer")

    def __init__(self, host: Clock, *, timer: Callable[[], float]) -> None:
        """`timer` counts seconds, never runs backwards, and goes on while the machine is suspended."""
        self._host = host
        self._timer = timer
        self._offset = host.timestamp() - timer()
        """From the timer to the database's time, in seconds."""
        self._ahead = 0.0
        """How far the clock was ahead of the database at `_ahead_since`, by the timer."""
        self._ahead_since = 0.0
        self._is_read = False
        self._last = _NEVER

    def now(self) -> datetime:
        timestamp = datetime.fromtimestamp(self.timestamp(), UTC)
        if timestamp < self._last:  # By rounding.
            return self._last
        self._last = timestamp
        return timestamp

    def timestamp(self) -> float:
        if self._ahead:
            return self._slowed()
        return self._timer() + self._offset

    def _slowed(self) -> float:
        timestamp = self._timer()
        left = self._ahead - (timestamp - self._ahead_since) / 2
        if left <= 0.0:
            self._ahead = left = 0.0
        return timestamp + self._offset + left

    @property
    def timer(self) -> Callable[[], float]:
        return self._timer

    @property
    def ahead_seconds(self) -> float:
        """How far it runs ahead of the database, because the database's clock stepped back."""
        return self.timestamp() - self._timer() - self._offset

    @property
    def host_skew_seconds(self) -> float:
        """How far the clock of this machine is ahead of the database's (negative: behind), as of the last reading."""
        return self._host.timestamp() - self._timer() - self._offset

    def adjust(self, reading: TimeReading, *, asked_at: float, answered_at: float) -> float:
        """Follow a reading, with when it was taken by the timer. Return by how many seconds the database has moved.

        That is 0 unless its time is another than this clock assumed, whichever way.
        """
        told = reading.now.timestamp()
        least, most = told - answered_at, told + reading.resolution_seconds - asked_at
        offset = min(max(self._offset, least), most) if self._is_read else (least + most) / 2
        timestamp = self._timer()
        wanted = timestamp + offset
        # What it said before the first reading binds nobody: nothing was stored by it.
        present = self.timestamp() if self._is_read else wanted
        if reading.newest is not None:
            newest = timestamp_of(reading.newest).timestamp()
            if _IGNORED_SECONDS < newest - wanted < _FOLLOWED_SECONDS:
                present = max(present, newest)
        moved = 0.0
        if self._is_read:
            moved = offset - self._offset
        else:
            self._is_read, self._last = True, _NEVER
        self._offset = offset
        self._ahead, self._ahead_since = max(0.0, present - wanted), timestamp
        return moved
