"""Work that a caller does not wait for."""

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from application.shared.use_case import UseCase

C = TypeVar("C")


class Background(Protocol):
    """Runs work after the answer, in a bounded queue that is emptied before the process ends."""

    def submit(self, work: Callable[[], Awaitable[object]]) -> None:
        """Take `work` and return at once. Raises `Overloaded` when too much waits already. A failure is logged."""
        ...


class Deferred(Generic[C]):
    """Runs a use case after its caller was answered.

    What it finds, and how long that takes, cannot show in the answer: it was given before. That is how asking for a
    mail tells nobody whether an address has an account.
    """

    def __init__(self, use_case: UseCase[C, None], background: Background) -> None:
        self._use_case = use_case
        self._background = background

    async def execute(self, command: C, /) -> None:
        self._background.submit(lambda: self._use_case.execute(command))
