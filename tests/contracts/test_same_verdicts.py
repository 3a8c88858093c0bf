"""One script of random steps, played on memory and on a database: every answer and every refusal is the same.

The other suites test what somebody thought of; this one finds where the fake and a database part ways otherwise.
"""

import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from domain.identity.errors import EmailTaken, UsernameTaken, UserNotFound
from domain.posts.errors import AuthorGone
from domain.posts.post import Post
from domain.shared.errors import PosternError
from domain.shared.ids import PostId, SessionId, UserId
from domain.shared.text import canonical_key
from entrypoints.memory_storage import memory_storage
from entrypoints.storage import Storage
from tests.aggregates import fields_of
from tests.builders import NOW, a_hash, a_post, a_session, a_user, an_id

NAMES = [
    *("alice", "ALICE", "Álice", "strasse", "Straße", "ange", "änge", "bob"),
    # Names with marks, whose collations differ most; and one that is the same with and without a joiner.
    *("राहुल", "שָׁלוֹם", "שלום", "น้อย", "می\u200cخواهم", "میخواهم", "ශ්\u200dරී"),
]
STEPS = 120


@dataclass(frozen=True, slots=True)
class Step:
    """A step with all its random choices made, so that it is the same wherever it is played."""

    kind: str
    user_id: UserId
    other_id: UserId
    post_id: PostId
    session_id: SessionId
    name: str
    email: str
    version: int
    owned: bool
    commits: bool
    limit: int


def a_script(seed: int) -> list[Step]:
    rng = random.Random(seed)
    users = [UserId(an_id(NOW + timedelta(seconds=n))) for n in range(4)]
    posts = [PostId(an_id(NOW + timedelta(seconds=n))) for n in range(6)]
    sessions = [SessionId(an_id(NOW + timedelta(seconds=n))) for n in range(3)]
    used: set[object] = set()

    def step() -> Step:
        kind = rng.choice([*STORIES])
        chosen = Step(
            kind=kind,
            user_id=rng.choice(users),
            other_id=rng.choice(users),
            post_id=rng.choice(posts),
            session_id=rng.choice(sessions),
            name=rng.choice(NAMES),
            email=f"{rng.choice(NAMES)}@example.org",
            version=rng.choice([1, 1, 1, 2, 2, 3]),
            owned=rng.random() < 0.7,
            commits=rng.random() < 0.85,
            limit=rng.randint(1, 4),
        )
        created = {"sign up": chosen.user_id, "publish": chosen.post_id, "open": chosen.session_id}.get(kind)
        # An id is given once: giving it twice is a defect in the caller, and storage may fail as it likes.
        if created in used:
            return step()
        if created is not None:
            used.add(created)
        return chosen

    return [step() for _ in range(STEPS)]


async def sign_up(storage: Storage, step: Step) -> object:
    user = a_user(step.name, id=step.user_id, email=step.email)
    async with storage.identity_units() as uow:
        # What is taken is told by the commit at the latest.
        with nullcontext() if step.commits else suppress(EmailTaken, UsernameTaken):
            await uow.users.add(user)
        if step.commits:
            await uow.commit()
    return user.version


async def rename(storage: Storage, step: Step) -> object:
    user = a_user(step.name, id=step.user_id, email=step.email, version=step.version)
    async with storage.identity_units() as uow:
        await uow.users.save(user)
        if step.commits:
            await uow.commit()
    return user.version


async def load(storage: Storage, step: Step) -> object:
    async with storage.identity_units() as uow:
        return fields_of(await uow.users.get(step.user_id))


async def open_session(storage: Storage, step: Step) -> object:
    session = a_session(a_user(id=step.user_id), id=step.session_id, current=a_hash(step.session_id))
    async with storage.identity_units() as uow:
        with nullcontext() if step.commits else suppress(UserNotFound):
            await uow.sessions.add(session)
        if step.commits:
            await uow.commit()
    return session.version


async def list_live(storage: Storage, step: Step) -> object:
    async with storage.identity_units() as uow:
        return [fields_of(session) for session in await uow.sessions.list_live(step.user_id, at=NOW)]


async def publish(storage: Storage, step: Step) -> object:
    post = a_post(a_user(id=step.user_id), id=step.post_id)
    async with storage.posts_units() as uow:
        # That its author is gone is told by the commit at the latest.
        with nullcontext() if step.commits else suppress(AuthorGone):
            await uow.posts.add(post)
        if step.commits:
            await uow.commit()
    return post.version


def kept(step: Step) -> Post:
    """Return a post as somebody may have it in hand, loaded at some version by some author."""
    return a_post(a_user(id=step.user_id), f"as {step.name} has it", id=step.post_id, version=step.version)


async def edit(storage: Storage, step: Step) -> object:
    post = kept(step)
    async with storage.posts_units() as uow:
        await uow.posts.save(post, owner=step.user_id)
        if step.commits:
            await uow.commit()
    return post.version


async def delete(storage: Storage, step: Step) -> object:
    async with storage.posts_units() as uow:
        await uow.posts.remove(kept(step), owner=step.user_id if step.owned else None)
        if step.commits:
            await uow.commit()
    return "removed"


async def read_feed(storage: Storage, step: Step) -> object:
    before = step.post_id if step.owned else None
    return await storage.posts.newest(limit=step.limit, before=before, viewer=step.other_id)


async def read_author(storage: Storage, step: Step) -> object:
    before = step.post_id if step.owned else None
    return await storage.posts.by_author(step.user_id, limit=step.limit, before=before, viewer=None)


async def read_account(storage: Storage, step: Step) -> object:
    return (
        await storage.accounts.account(step.user_id),
        await storage.credentials.by_id(step.user_id),
        await storage.credentials.by_email(canonical_key(step.email)),
        await storage.authors.find(step.user_id),
        await storage.posts.get(step.post_id, viewer=step.user_id),
    )


STORIES: dict[str, Callable[[Storage, Step], Awaitable[object]]] = {
    "sign up": sign_up,
    "rename": rename,
    "load": load,
    "open": open_session,
    "list live": list_live,
    "publish": publish,
    "edit": edit,
    "delete": delete,
    "read feed": read_feed,
    "read author": read_author,
    "read account": read_account,
}


async def play(storage: Storage, script: list[Step]) -> list[tuple[str, object]]:
    outcomes: list[tuple[str, object]] = []
    for step in script:
        try:
            outcomes.append((step.kind, await STORIES[step.kind](storage, step)))
        except (EmailTaken, UsernameTaken):
            # Which of two is told is each database's own affair.
            outcomes.append((step.kind, "taken"))
        except PosternError as error:
            outcomes.append((step.kind, type(error).__name__))
    return outcomes


@pytest.mark.parametrize("seed", range(8))
async def test_a_script_of_random_steps_gets_the_same_answers_everywhere(storage: Storage, seed: int) -> None:
    script = a_script(seed)

    for step, theirs, ours in zip(
        script, await play(storage, script), await play(memory_storage(), script), strict=True
    ):
        assert theirs == ours, step


def test_the_scripts_reach_what_they_are_for() -> None:
    """Guards the test above against scripts whose every step is refused."""
    kinds = {step.kind for seed in range(8) for step in a_script(seed)}

    assert kinds == set(STORIES)


async def test_the_scripts_meet_successes_and_refusals_of_every_kind() -> None:
    met: set[object] = set()
    for seed in range(8):
        for kind, answer in await play(memory_storage(), a_script(seed)):
            met.add((kind, answer if isinstance(answer, str) else "answered"))

    assert met >= {
        *((kind, "answered") for kind in STORIES if kind != "delete"),
        ("delete", "removed"),
        ("sign up", "taken"),
        ("rename", "taken"),
        ("rename", "VersionConflict"),
        ("load", "UserNotFound"),
        ("open", "UserNotFound"),
        ("publish", "AuthorGone"),
        ("edit", "VersionConflict"),
        ("delete", "VersionConflict"),
    }
