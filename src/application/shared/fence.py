"""The fence around shared caches, for the time when the component that keeps them honest is out of reach."""

from typing import Protocol


class CacheFence(Protocol):
    """Tells every process, through the database, that shared cache state must not be trusted for a while.

    A writer whose invalidation did not arrive raises the fence, waits until every process must have seen it, and only
    then acknowledges the write. Readers look at it several times a second, never per request.
    """

    async def raise_for(self, seconds: float) -> None:
        """Put this process's fence up, for `seconds` from now by the database's clock. Raises `StorageUnavailable`."""
        ...

    async def lower(self) -> None:
        """Take this process's fence down again."""
        ...

    async def is_up(self) -> bool:
        """Tell whether any process's fence is up. Raises `StorageUnavailable`."""
        ...
