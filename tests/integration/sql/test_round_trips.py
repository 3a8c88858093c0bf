"""How often the hot operations ask the database: what a network makes dear, and nobody notices on one machine."""

from collections.abc import Awaitable, Callable

import pytest

from adapters.security.keys import DerivedKeys
from adapters.security.opaque import RandomRecoveryCodes
from adapters.security.secret_box import AesGcmSecretBox
from adapters.security.totp import PyotpTotpCodes
from adapters.sql.database import Database
from application.identity.open_session import OpenSession, OpenSessionCommand
from application.identity.register import Register, RegisterCommand
from application.identity.second_factor import SecondFactorVerifier
from application.identity.tokens import TokenIssuer
from application.posts.cast_vote import CastVote, CastVoteCommand
from application.posts.publish_post import PublishPost, PublishPostCommand
from application.posts.views import PostView
from application.shared.idempotency import IdempotencyClaim, IdempotencyKey
from domain.identity.values import Device
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.posts.vote import Direction
from domain.shared.actor import Actor
from entrypoints.storage import Storage, sql_storage
from tests.builders import NOW, a_post, a_user, an_actor, an_id
from tests.contracts.scenarios import given
from tests.fakes import CountedIds, CountedRefreshTokens, PlainAccessTokens, SettableClock
from tests.integration.sql.conftest import Captured, OpenDatabase, on_servers
from tests.integration.sql.counting_proxy import through_proxy

Operation = Callable[[Storage, Actor, Post], Awaitable[object]]

DEVICE = Device.of("curl/8.9", "192.0.2.7")


def an_issuer() -> TokenIssuer:
    return TokenIssuer(
        ids=CountedIds(), access_tokens=PlainAccessTokens(SettableClock()), refresh_tokens=CountedRefreshTokens()
    )


async def one_post(storage: Storage, actor: Actor, post: Post) -> object:
    return await storage.posts.get(post.id, viewer=actor.user_id)


async def own_list(storage: Storage, actor: Actor, post: Post) -> object:
    del post
    return await storage.posts.by_author(actor.user_id, limit=20, before=None, viewer=actor.user_id)


async def feed(storage: Storage, actor: Actor, post: Post) -> object:
    del post
    return await storage.posts.newest(limit=20, before=None, viewer=actor.user_id)


async def create(storage: Storage, actor: Actor, post: Post) -> object:
    del post
    use_case = PublishPost(uow=storage.posts_units, authors=storage.authors, ids=CountedIds(), clock=SettableClock())
    return await storage.group_commit(use_case).execute(PublishPostCommand(actor, PostText("news")))


async def create_once(storage: Storage, actor: Actor, post: Post) -> object:
    use_case = PublishPost(uow=storage.posts_units, authors=storage.authors, ids=CountedIds(), clock=SettableClock())
    key = IdempotencyKey(str(an_id()))
    once: IdempotencyClaim[PostView] = IdempotencyClaim(actor.user_id, key, NOW, lambda view: view.id.encode())
    return await storage.group_commit(use_case).execute(PublishPostCommand(actor, PostText("news"), idempotency=once))


async def vote(storage: Storage, actor: Actor, post: Post) -> object:
    use_case = CastVote(uow=storage.posts_units, clock=SettableClock())
    return await storage.group_commit(use_case).execute(CastVoteCommand(actor, post.id, Direction.UP))


async def open_a_session(storage: Storage, actor: Actor, post: Post) -> object:
    """Log in, the hash apart."""
    del post
    found = await storage.credentials.by_id(actor.user_id)
    second_factor = SecondFactorVerifier(
        totp=PyotpTotpCodes(issuer="Postern"),
        box=AesGcmSecretBox(keys=DerivedKeys("a key that everybody knows")),
        recovery_codes=RandomRecoveryCodes(),
    )
    use_case = OpenSession(
        uow=storage.identity_units, issuer=an_issuer(), second_factor=second_factor, clock=SettableClock()
    )
    command = OpenSessionCommand(found=found, matches=True, device=DEVICE)
    return await storage.group_commit(use_case).execute(command)


async def register(storage: Storage, actor: Actor, post: Post) -> object:
    """Sign up, the hash apart."""
    del actor, post
    somebody = a_user()
    use_case = Register(uow=storage.identity_units, issuer=an_issuer(), ids=CountedIds(), clock=SettableClock())
    command = RegisterCommand(
        email=somebody.email, username=somebody.username, name=None, password_hash="a hash", device=DEVICE
    )
    return await storage.group_commit(use_case).execute(command)


async def given_a_reader(open_with: OpenDatabase) -> tuple[Database, Storage, Actor, Post]:
    database = open_with(pool_size=2, max_overflow=0)
    storage = sql_storage(database)
    alice, bob = a_user(), a_user()
    post = a_post(alice)
    await given(storage, alice, bob, post)
    return database, storage, an_actor(bob), post


@pytest.mark.parametrize(
    ("operation", "statements"),
    [
        (one_post, 1),
        (own_list, 1),
        (feed, 1),
        # The author; the post, its words, the author's revision, and the event.
        (create, 5),
        (create_once, 6),
        # The tally and what was said, the vote, the counters, the ranks that were, and the event.
        (vote, 5),
        # The credentials, the account, its second factor; the session, and what the trail says of it.
        (open_a_session, 6),
        # The account and its session, two lines of the trail, and the event.
        (register, 5),
    ],
)
async def test_an_operation_takes_so_many_statements(
    open_with: OpenDatabase, captured: Captured, *, operation: Operation, statements: int
) -> None:
    _, storage, actor, post = await given_a_reader(open_with)
    captured.statements.clear()

    await operation(storage, actor, post)

    assert len(captured.statements) == statements


@on_servers
async def test_logging_in_asks_no_oftener_than_it_must(
    open_with: OpenDatabase, database_url: str, sql_backend: str
) -> None:
    """The credentials; the account, locked, its second factor and the sessions it has too many of; then all that is
    written, and the commit.

    What begins a transaction and what ends it are exchanges of their own on PostgreSQL.
    """
    async with through_proxy(open_with, database_url, pool_size=2, max_overflow=0) as (database, line):
        storage = sql_storage(database)
        alice = a_user()
        await given(storage, alice)
        # What happens once on a connection: drivers prepare statements, the first time or the second.
        for _ in range(2):
            await open_a_session(storage, an_actor(alice), a_post(alice))
        before = line.exchanges

        await open_a_session(storage, an_actor(alice), a_post(alice))

        assert line.exchanges - before == (7 if sql_backend == "postgresql" else 5)


@on_servers
@pytest.mark.parametrize(
    ("operation", "exchanges"),
    [
        (one_post, 1),
        (own_list, 1),
        (feed, 1),
        # The author; then all that is written, and the commit.
        (create, 2),
        # Its key goes with what is written.
        (create_once, 2),
        # The tally and what was said; then all that is written, and the commit.
        (vote, 2),
        # All that is written, and the commit.
        (register, 1),
    ],
)
async def test_an_operation_asks_the_server_so_often(
    open_with: OpenDatabase, database_url: str, *, operation: Operation, exchanges: int
) -> None:
    """As they pass on the wire, so that BEGIN, COMMIT and whatever a driver asks by itself are counted."""
    async with through_proxy(open_with, database_url, pool_size=2, max_overflow=0) as (database, line):
        storage = sql_storage(database)
        alice, bob = a_user(), a_user()
        *others, post = [a_post(alice) for _ in range(3)]
        await given(storage, alice, bob, *others, post)
        # What happens once on a connection: drivers look up types, and prepare statements, at the latest the second
        # time.
        for other in others:
            await operation(storage, an_actor(bob), other)
        before = line.exchanges

        await operation(storage, an_actor(bob), post)

        assert line.exchanges - before == exchanges
