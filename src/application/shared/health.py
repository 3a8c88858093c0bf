"""How the process is: whether components that it needs answer, and what its operator must know besides."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


class Probe(Protocol):
    """One component: the database, the shared cache, a broker."""

    async def check(self) -> None:
        """Return when it answers within its time limit. Raises `Unavailable` (or a subclass) when it does not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A condition that lasts and that an operator must know of. `/health/ready` and `/metrics` show it."""

    code: str
    """Stable, in the form of a problem's slug: `writes-fail`, `clock-skew`."""
    message: str
    """One sentence. Everyone may read `/health/ready`, so it names no host, no user and no address."""
    is_unready: bool = False
    """Whether the process must not be given requests while it lasts."""


NoticeSource = Callable[[], Iterable[Notice]]
"""Tells what holds at the moment that it is asked. It does not wait for anything."""


class Notices:
    """The notices of one process. An adapter puts and clears its own, or adds a source that is asked each time."""

    def __init__(self) -> None:
        self._standing: dict[str, Notice] = {}
        self._sources: list[NoticeSource] = []
        self._known: set[str] = set()

    def set(self, notice: Notice) -> None:
        """Let `notice` hold until it is cleared, in place of one with the same code."""
        self._standing[notice.code] = notice

    def clear(self, code: str) -> None:
        """Let the notice of this code hold no longer. Clearing what does not hold is fine."""
        self._standing.pop(code, None)

    def add_source(self, source: NoticeSource) -> None:
        self._sources.append(source)

    def current(self) -> list[Notice]:
        """Return what holds now, one notice for each code."""
        found = dict(self._standing)
        for source in self._sources:
            for notice in source():
                found.setdefault(notice.code, notice)
        self._known.update(found)
        return list(found.values())

    def gauges(self) -> dict[str, int]:
        """Return 1 for each code that holds, and 0 for each that held before, so that its series ends with that."""
        current = {notice.code for notice in self.current()}
        return {code: int(code in current) for code in sorted(self._known)}
