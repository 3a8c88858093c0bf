"""Whether a component that we need answers."""

from typing import Protocol


class Probe(Protocol):
    """One component: the database, the shared cache, a broker."""

    async def check(self) -> None:
        """Return when it answers within its time limit. Raises `Unavailable` (or a subclass) when it does not."""
        ...
