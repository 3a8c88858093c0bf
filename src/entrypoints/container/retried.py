"""How use cases that write are run again when they lose a race."""

import asyncio
import random
from typing import TypeVar

from application.shared.retry import Retried
from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


def retried(use_case: UseCase[C, R]) -> UseCase[C, R]:
    return Retried(use_case, sleep=asyncio.sleep, random=random.random)
