"""The decorator of use cases that write."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.shared.deadline import Deadline
from application.shared.group_commit import GroupCommit, SharesCommit
from application.shared.retry import Retried
from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


class Writing:
    """Reruns a use case that lost a race; each attempt shares its commit with others, if its class `SharesCommit`.

    It decorates every use case that takes units of work, where its context's bundle is built, and no other one.
    """

    def __init__(
        self,
        group_commit: GroupCommit,
        *,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        deadline: Deadline | None = None,
    ) -> None:
        self._group_commit = group_commit
        self._sleep = sleep
        self._random = random
        self._deadline = deadline

    def __call__(self, use_case: UseCase[C, R], /) -> UseCase[C, R]:
        attempt = self._group_commit(use_case) if isinstance(use_case, SharesCommit) else use_case
        return Retried(attempt, sleep=self._sleep, random=self._random, deadline=self._deadline)
