"""Steps that the contract suites share."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.shared.retry import Retried
from application.shared.use_case import UseCase
from domain.identity.session import Session
from domain.identity.user import User
from domain.posts.post import Post
from domain.shared.errors import PosternError
from domain.shared.ids import PostId, SessionId, UserId
from entrypoints.storage import Storage
from tests.builders import NOW

C = TypeVar("C")
R = TypeVar("R")


async def given(storage: Storage, *aggregates: User | Session | Post) -> None:
    """Store these, each in a unit of work of its own."""
    for aggregate in aggregates:
        match aggregate:
            case User():
                async with storage.identity_units() as uow:
                    await uow.users.add(aggregate)
                    await uow.commit()
            case Session():
                async with storage.identity_units() as uow:
                    await uow.sessions.add(aggregate)
                    await uow.commit()
            case Post():
                async with storage.posts_units() as posts_uow:
                    await posts_uow.posts.add(aggregate)
                    await posts_uow.commit()


async def load_user(storage: Storage, user_id: UserId) -> User:
    async with storage.identity_units() as uow:
        return await uow.users.get(user_id)


async def load_session(storage: Storage, session_id: SessionId) -> Session:
    async with storage.identity_units() as uow:
        return await uow.sessions.get(session_id)


async def load_post(storage: Storage, post_id: PostId) -> Post:
    async with storage.posts_units() as uow:
        return await uow.posts.get(post_id)


async def changed(storage: Storage, user_id: UserId, *, times: int) -> None:
    """Count up in the password hash, all at once: an increment is lost unless loading locks."""

    async def count_up() -> None:
        async with storage.identity_units() as uow:
            user = await uow.users.get(user_id)
            await asyncio.sleep(0.005)
            user.change_password(str(int(user.password_hash) + 1), at=NOW)
            await uow.users.save(user)
            await uow.commit()

    await asyncio.gather(*(count_up() for _ in range(times)))


def retried(use_case: UseCase[C, R]) -> UseCase[C, R]:
    """Wrap a use case as the container does: a lost race is run again."""
    return Retried(use_case, sleep=asyncio.sleep, random=random.random)


async def race(workers: int, scenario: Callable[[int], Awaitable[R]]) -> tuple[list[R], list[PosternError]]:
    """Run `workers` stories at once; return what they answered and how the others failed.

    A failure that has no name of ours is a defect, and raised.
    """
    ready = asyncio.Barrier(workers)

    async def run(number: int) -> R:
        await ready.wait()
        return await scenario(number)

    outcomes = await asyncio.gather(*(run(n) for n in range(workers)), return_exceptions=True)
    answers: list[R] = []
    failures: list[PosternError] = []
    for outcome in outcomes:
        if isinstance(outcome, PosternError):
            failures.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            answers.append(outcome)
    return answers, failures
