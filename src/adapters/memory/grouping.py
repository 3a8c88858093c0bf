"""Use cases that would share their commit: in memory there is nothing to share."""

from typing import TypeVar

from application.shared.grouping import Grouping
from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


class MemoryGrouping(Grouping):
    def __call__(self, use_case: UseCase[C, R], /) -> UseCase[C, R]:
        return use_case
