"""Values that are at hand, or have to be waited for."""

from collections.abc import Awaitable
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Pending: TypeAlias = T | Awaitable[T]
"""Where a coroutine would cost more than all the rest, a value that is at hand is returned without one."""


async def settled(value: Pending[T]) -> T:
    """Return the value, awaited if it has to be."""
    if not isinstance(value, Awaitable):
        return value
    awaited: Awaitable[T] = value
    return await awaited
