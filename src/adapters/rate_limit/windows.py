"""Counting in this process's memory: the fixed windows of the `limits` library over storage of our own.

The library's own memory storage sweeps all its keys from a thread that it starts anew, up to a hundred times a second
under load; with a hundred thousand addresses that is most of a core. Here nothing is swept. All windows of one limit
are equally long, so they end in the order in which they began, and each new one makes room for itself at the old end.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from limits.storage import Storage

from application.shared.rate_limit import Charge, Limit, LimitState, RateLimiter

MAX_WINDOWS: Final = 50_000
"""Subjects of one limit that are remembered at once; some 10 MiB. Beyond that the oldest are forgotten."""


class _Window:
    __slots__ = ("count", "ends_at")

    def __init__(self, ends_at: float, count: int) -> None:
        self.ends_at = ends_at
        self.count = count


class WindowStorage(Storage):
    """Counters that end, for one length of window. The least that a strategy of `limits` asks of storage."""

    STORAGE_SCHEME = ["postern-windows"]  # noqa: RUF012 - the library's own name and type

    def __init__(self, *, timer: Callable[[], float] = time.monotonic, max_windows: int = MAX_WINDOWS) -> None:
        super().__init__()
        self._timer = timer
        self._most = max_windows
        self._windows: dict[str, _Window] = {}
        """By key, in the order in which they end."""

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError  # Nothing here fails.

    def count(self, key: str, seconds: float, amount: int) -> tuple[int, float]:
        """Count, and return the count and the seconds that the window lasts; one that only looks begins none."""
        now = self._timer()
        window = self._windows.get(key)
        if window is None or window.ends_at <= now:
            if amount <= 0:
                return 0, seconds
            self._begin(key, _Window(now + seconds, amount), now)
            return amount, seconds
        count = window.count + amount
        if amount < 0:
            count = max(count, 0)
        window.count = count
        return count, window.ends_at - now

    def _begin(self, key: str, window: _Window, now: float) -> None:
        windows = self._windows
        windows.pop(key, None)  # so that it goes to the end
        # Two out for one in: what has ended goes sooner or later, at no moment in bulk.
        for _ in range(2):
            oldest = next(iter(windows), None)
            if oldest is not None and (windows[oldest].ends_at <= now or len(windows) >= self._most):
                del windows[oldest]
        windows[key] = window

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self.count(key, expiry, amount)[0]

    def get(self, key: str) -> int:
        window = self._windows.get(key)
        return 0 if window is None or window.ends_at <= self._timer() else window.count

    def get_expiry(self, key: str) -> float:
        window = self._windows.get(key)
        return self._timer() if window is None else window.ends_at

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        forgotten = len(self._windows)
        self._windows.clear()
        return forgotten

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)


class MemoryRateLimiter(RateLimiter):
    """Counts what this process sees. Each limit has storage of its own, so that no flood of one empties another."""

    def __init__(self, *, timer: Callable[[], float] = time.monotonic, max_windows: int = MAX_WINDOWS) -> None:
        self._timer = timer
        self._most = max_windows
        self._storages: dict[str, WindowStorage] = {}

    async def take(self, charges: Sequence[Charge]) -> list[LimitState]:
        states = []
        for limit, subject, cost in charges:
            count, resets_in = self._storage(limit).count(subject, limit.seconds, cost)
            states.append(LimitState(limit, limit.amount - count, resets_in))
        return states

    def take_one(self, limit: Limit, subject: str) -> tuple[int, float]:
        name, amount, seconds = limit
        storage = self._storages.get(name)
        if storage is None:
            storage = self._storage(limit)
        count, resets_in = storage.count(subject, seconds, 1)
        return amount - count, resets_in

    def _storage(self, limit: Limit) -> WindowStorage:
        storage = self._storages.get(limit.name)
        if storage is None:
            storage = self._storages[limit.name] = WindowStorage(timer=self._timer, max_windows=self._most)
        return storage
