"""Running a use case again when it lost a race in the database."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from application.shared.deadline import Deadline
from application.shared.errors import TransientFailure
from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


class Retried(Generic[C, R]):
    """Reruns the whole use case, so that each attempt decides on what is stored by then.

    Waits between attempts grow twofold and are drawn from [0, bound) ("full jitter", Brooker 2015), which keeps
    losers of one race from meeting again. After `attempts`, or when the `deadline` leaves no room for another, the
    failure goes to the caller.
    """

    def __init__(
        self,
        use_case: UseCase[C, R],
        *,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        deadline: Deadline | None = None,
        attempts: int = 6,
        first_wait: float = 0.01,
        longest_wait: float = 0.5,
    ) -> None:
        self._use_case = use_case
        self._sleep = sleep
        self._random = random
        self._deadline = deadline
        self._attempts = attempts
        self._first_wait = first_wait
        self._longest_wait = longest_wait

    async def execute(self, command: C, /) -> R:
        bound = self._first_wait
        for _ in range(self._attempts - 1):
            try:
                return await self._use_case.execute(command)
            except TransientFailure:
                wait = self._random() * bound
                if self._deadline is not None and self._deadline.seconds_left() <= wait:
                    raise
                await self._sleep(wait)
                bound = min(2 * bound, self._longest_wait)
        return await self._use_case.execute(command)
