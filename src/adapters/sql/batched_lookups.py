"""Look-ups by key that are asked for at the same time, made together."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Generic, Protocol, TypeVar

from application.shared.errors import StorageUnavailable, Unavailable


class HasNumber(Protocol):
    """A key that is told from others by a number, as a UUID is."""

    @property
    def int(self) -> int: ...


K = TypeVar("K", bound=HasNumber)
V = TypeVar("V")

LOOK_UPS_AT_ONCE: Final = 2
"""Under way at the same time. With more, each would carry fewer; with one, a look-up that hangs would hold up all."""
KEYS_A_LOOK_UP: Final = 64
NAMES: Final = [f"id_{number}" for number in range(KEYS_A_LOOK_UP)]
"""What the places for keys are called in a statement."""


def padded(keys: Sequence[K]) -> dict[str, K]:
    """Return parameters for `keys`, at least one, as many as the next power of two: so there are few statements."""
    places = 1 << (len(keys) - 1).bit_length()
    return dict(zip(NAMES, [*keys, *[keys[0]] * (places - len(keys))], strict=False))


class _Batch(Generic[K, V]):
    """Keys that are looked up together, and who waits for which."""

    __slots__ = ("keys", "waiting")

    def __init__(self) -> None:
        self.keys: dict[int, K] = {}
        """By their numbers, whose hash costs nothing: that of a UUID is computed in Python."""
        self.waiting: list[tuple[int, asyncio.Future[V | None]]] = []

    def tell(self, found: Mapping[int, V]) -> None:
        """Tell those who still wait."""
        for number, waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(found.get(number))

    def fail(self, error: Exception) -> None:
        """Raise it where somebody still waits."""
        for _, waiter in self.waiting:
            if not waiter.done():
                waiter.set_exception(error)


class BatchedLookups(ABC, Generic[K, V]):
    """Looks rows up by key, together those that are asked for at the same time.

    A look-up begins at once while few are under way; what is asked for meanwhile goes out with the next, in one
    statement. So whoever is alone waits for nobody, and under load a round trip is shared by all who would each have
    made one. It is as exact as if they had, over all workers and instances: a batch takes nobody in once its look-up
    has begun, so nobody is told what was read before they asked.
    """

    keys_a_look_up: ClassVar[int] = KEYS_A_LOOK_UP
    is_none_when_unavailable: ClassVar = False
    """Whether those who wait are told None when the look-up fails by `Unavailable`, instead of raising it."""

    def __init__(self) -> None:
        self._waiting: deque[_Batch[K, V]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        """All are on one."""

    @abstractmethod
    async def read(self, keys: Sequence[K]) -> Mapping[int, V]:
        """Read what there is under these keys, at most `keys_a_look_up` and each once; by the number of the key."""
        ...

    def look_up(self, key: K) -> "asyncio.Future[V | None]":
        """Return, once it is known, what is under `key`, None for nothing. It raises what `read` does.

        No coroutine, since nothing is left to do when the answer is there: each costs 0.3 µs.
        """
        is_first = not self._waiting or len(self._waiting[-1].keys) >= self.keys_a_look_up
        if is_first:
            self._waiting.append(_Batch())
        batch = self._waiting[-1]
        number = key.int
        batch.keys[number] = key
        # A future for each, so that one who hangs up takes nothing from the others.
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[V | None] = self._loop.create_future()
        batch.waiting.append((number, waiter))
        if is_first or not self._under_way:
            # For the others of a batch that is done.
            self._begin()
        return waiter

    def _begin(self) -> None:
        if self._waiting and len(self._under_way) < LOOK_UPS_AT_ONCE:
            task = asyncio.create_task(self._work(), name=f"a look-up of {type(self).__name__}")
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            self._begin()  # It fell: others may still wait.

    async def _work(self) -> None:
        while self._waiting:
            # From here on it takes nobody in.
            batch = self._waiting.popleft()
            try:
                batch.tell(await self.read(list(batch.keys.values())))
            except Exception as error:  # noqa: BLE001 # raised where it was asked
                self._fail(batch, error)
            finally:
                # Also when this is cancelled: nobody waits for ever.
                self._fail(batch, StorageUnavailable("the look-up was given up"))

    def _fail(self, batch: _Batch[K, V], error: Exception) -> None:
        if self.is_none_when_unavailable and isinstance(error, Unavailable):
            batch.tell({})
        else:
            batch.fail(error)
