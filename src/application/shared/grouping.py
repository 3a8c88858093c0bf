"""Use cases that share their commit."""

from typing import Protocol, TypeVar

from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


class Grouping(Protocol):
    """Makes a use case share its commit with others that come at the same time, where storage gains by that.

    Only for a use case that waits for nothing but storage (no mail, no hashing, no lock of its own), and that may be
    begun anew while nothing of it is stored, as after a lost race. To its caller nothing changes: it is answered when
    what it did is durable, and what it did stands or falls by itself; only when the commit fails, all fail that shared
    it.
    """

    def __call__(self, use_case: UseCase[C, R], /) -> UseCase[C, R]: ...
