"""Use cases that share their commit."""

from typing import Protocol, TypeVar

from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


class SharesCommit:
    """Marks a use case of which several at a time are committed at once, where storage gains by that.

    It waits for nothing but storage (no mail, no hashing, no lock of its own), and may be begun again while nothing of
    it is stored, as after a lost race.
    """


class GroupCommit(Protocol):
    """Makes a use case share its commit with others that come at the same time.

    Nothing changes for its caller: the result comes when what it did is durable, and succeeds or fails independently of
    the others; only when the commit fails, all fail that shared it.
    """

    def __call__(self, use_case: UseCase[C, R], /) -> UseCase[C, R]: ...
