"""Work that is done elsewhere than on the event loop."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

LARGE_TEXT: Final = 256 * 1024
"""Characters of text in an answer, from which on making it may take more than 5 ms."""


class Threads(Protocol):
    """Runs work that may take more than some 5 ms, so that everything else on the loop goes on meanwhile.

    Handing work over costs some 0.1 ms, so what is small is done where it is.
    """

    async def run(self, work: Callable[[], T], /) -> T:
        """Return what `work` returns, or raise what it raises."""
        ...


class InlineThreads(Threads):
    """Runs work where it is handed over: for tools and tests, where there is nothing else to go on."""

    async def run(self, work: Callable[[], T], /) -> T:
        return work()


INLINE_THREADS: Final = InlineThreads()
