"""How use cases that write are run again when they lose a race, and which of them share their commits."""

import asyncio
import random
from typing import TypeVar

from adapters.system.deadline import ContextDeadline
from application.shared.grouping import Grouping
from application.shared.retry import Retried
from application.shared.use_case import UseCase

C = TypeVar("C")
R = TypeVar("R")


def retried(use_case: UseCase[C, R], grouped: Grouping | None = None) -> UseCase[C, R]:
    """Run `use_case` again when it loses a race; with `grouped`, each attempt shares its commit with others."""
    attempt = use_case if grouped is None else grouped(use_case)
    return Retried(attempt, sleep=asyncio.sleep, random=random.random, deadline=ContextDeadline())
