"""Twenty at once and one winner; a hundred at once and one successor. Run as the container runs use cases."""

from datetime import timedelta

from adapters.security.keys import DerivedKeys
from adapters.security.opaque import RandomRecoveryCodes
from adapters.security.secret_box import AesGcmSecretBox
from adapters.security.totp import PyotpTotpCodes
from application.identity.open_session import OpenSession, OpenSessionCommand
from application.identity.ports import Credentials, RefreshTokens
from application.identity.refresh_session import RefreshSession, RefreshSessionCommand
from application.identity.register import Register
from application.identity.second_factor import SecondFactorVerifier
from application.identity.sign_up import SignUp, SignUpCommand
from application.identity.tokens import TokenIssuer
from application.identity.views import TokenPairView
from application.posts.delete_post import DeletePost, DeletePostCommand
from application.posts.edit_post import EditPost, EditPostCommand
from application.posts.publish_post import PublishPost, PublishPostCommand
from application.shared.pending import settled
from domain.identity.errors import EmailTaken, TokenReused, UsernameTaken
from domain.identity.reserved import ReservedUsernames
from domain.identity.values import Device, EmailAddress, Password, Username
from domain.posts.errors import PostChanged, PostNotFound
from domain.posts.values import PostText
from domain.shared.ids import SessionId
from entrypoints.storage import Storage
from tests.builders import NOW, a_post, a_session, a_user, an_actor, an_id
from tests.contracts.scenarios import given, load_post, load_session, race, retried
from tests.fakes import (
    CountedIds,
    CountedRefreshTokens,
    FastPasswordHasher,
    ListedCommonPasswords,
    ListedUsernames,
    PlainAccessTokens,
    SettableClock,
)

WORKERS = 20


def sign_up(storage: Storage, clock: SettableClock) -> SignUp:
    register = Register(
        uow=storage.identity_units, issuer=issuer(CountedRefreshTokens(), clock), ids=CountedIds(), clock=clock
    )
    return SignUp(
        hasher=FastPasswordHasher(),
        common_passwords=ListedCommonPasswords(),
        usernames=ListedUsernames(),
        reserved=ReservedUsernames(),
        register=retried(storage.group_commit(register)),
    )


def issuer(refresh_tokens: RefreshTokens, clock: SettableClock) -> TokenIssuer:
    return TokenIssuer(ids=CountedIds(), access_tokens=PlainAccessTokens(clock), refresh_tokens=refresh_tokens)


def signing_up(email: str, username: str | None) -> SignUpCommand:
    return SignUpCommand(
        email=EmailAddress.parse(email),
        password=Password.new("correct horse battery"),
        username=Username.parse(username) if username else None,
        name=None,
        device=Device.of("curl/8.9", "192.0.2.7"),
    )


async def test_of_twenty_sign_ups_with_one_address_in_case_variants_one_wins(
    storage: Storage, clock: SettableClock
) -> None:
    use_case = sign_up(storage, clock)

    async def scenario(number: int) -> str:
        local = "".join(c.upper() if number >> at & 1 else c for at, c in enumerate("alice"))
        return (await use_case.execute(signing_up(f"{local}@example.org", f"racer-{number}"))).user.id

    winners, losers = await race(WORKERS, scenario)

    assert (len(winners), {type(loser) for loser in losers}) == (1, {EmailTaken})
    found = await storage.credentials.by_email("alice@example.org")
    assert found is not None
    assert str(found.user_id) == winners[0]


async def test_of_twenty_sign_ups_with_one_username_one_wins(storage: Storage, clock: SettableClock) -> None:
    use_case = sign_up(storage, clock)

    async def scenario(number: int) -> str:
        username = "straße" if number % 2 else "STRASSE"
        return (await use_case.execute(signing_up(f"racer-{number}@example.org", username))).user.id

    winners, losers = await race(WORKERS, scenario)

    assert (len(winners), {type(loser) for loser in losers}) == (1, {UsernameTaken})


async def test_twenty_sign_ups_that_have_nothing_in_common_all_win(storage: Storage, clock: SettableClock) -> None:
    use_case = sign_up(storage, clock)

    async def scenario(number: int) -> str:
        return (await use_case.execute(signing_up(f"racer-{number}@example.org", None))).user.id

    winners, losers = await race(WORKERS, scenario)

    assert (len(set(winners)), losers) == (WORKERS, [])


async def test_of_twenty_edits_under_one_version_one_wins(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    use_case = retried(storage.group_commit(EditPost(uow=storage.posts_units, reader=storage.posts, clock=clock)))

    async def scenario(number: int) -> str:
        command = EditPostCommand(an_actor(alice), post.id, PostText(f"edit {number}"), if_version=1)
        return str((await use_case.execute(command)).text)

    winners, losers = await race(WORKERS, scenario)

    assert (len(winners), {type(loser) for loser in losers}) == (1, {PostChanged})
    stored = await load_post(storage, post.id)
    assert (stored.text.value, stored.version) == (winners[0], 2)


async def test_of_twenty_edits_of_whatever_is_there_none_is_lost(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    use_case = retried(storage.group_commit(EditPost(uow=storage.posts_units, reader=storage.posts, clock=clock)))

    async def scenario(number: int) -> int:
        return (await use_case.execute(EditPostCommand(an_actor(alice), post.id, PostText(f"edit {number}")))).version

    winners, losers = await race(WORKERS, scenario)

    assert (len(winners), losers) == (WORKERS, [])
    assert (await load_post(storage, post.id)).version == WORKERS + 1


async def test_of_twenty_deletions_of_one_post_one_wins(storage: Storage, clock: SettableClock) -> None:
    alice = a_user()
    post = a_post(alice)
    await given(storage, alice, post)
    use_case = retried(DeletePost(uow=storage.posts_units, clock=clock))

    async def scenario(_: int) -> None:
        await use_case.execute(DeletePostCommand(an_actor(alice), post.id))

    winners, losers = await race(WORKERS, scenario)

    assert (len(winners), {type(loser) for loser in losers}) == (1, {PostNotFound})


async def test_every_post_of_twenty_published_at_once_is_there_and_counted(
    storage: Storage, clock: SettableClock
) -> None:
    alice = a_user()
    await given(storage, alice)
    before = await settled(storage.revisions.current(alice.id))
    publish = PublishPost(uow=storage.posts_units, authors=storage.authors, ids=CountedIds(), clock=clock)
    use_case = retried(storage.group_commit(publish))

    async def scenario(number: int) -> str:
        return (await use_case.execute(PublishPostCommand(an_actor(alice), PostText(f"post {number}")))).id

    winners, losers = await race(WORKERS, scenario)

    assert losers == []
    listed = await storage.posts.by_author(alice.id, limit=100, before=None, viewer=None)
    assert [item.id for item in listed.items] == sorted(winners, reverse=True)
    assert await settled(storage.revisions.current(alice.id)) != before


async def test_a_hundred_refreshes_of_one_token_make_one_successor(storage: Storage, clock: SettableClock) -> None:
    refresh_tokens = CountedRefreshTokens()
    alice = a_user()
    session_id = SessionId(an_id())
    token = refresh_tokens.first(session_id)
    await given(storage, alice, a_session(alice, id=session_id, current=refresh_tokens.hash(token)))
    clock.advance(timedelta(minutes=1))
    use_case = retried(
        RefreshSession(
            uow=storage.identity_units,
            refresh_tokens=refresh_tokens,
            issuer=issuer(refresh_tokens, clock),
            clock=clock,
        )
    )

    async def scenario(_: int) -> TokenPairView:
        return await use_case.execute(RefreshSessionCommand(refresh_tokens.serialize(token)))

    pairs, failures = await race(100, scenario)

    assert (len(pairs), failures) == (100, [])
    successor = refresh_tokens.successor(token)
    assert {pair.refresh_token for pair in pairs} == {refresh_tokens.serialize(successor)}
    assert len({pair.access_token for pair in pairs}) == 1
    stored = await load_session(storage, session_id)
    assert (stored.generation, stored.current) == (1, refresh_tokens.hash(successor))


async def test_twenty_log_ins_at_once_leave_as_many_sessions_as_an_account_may_have(
    storage: Storage, clock: SettableClock
) -> None:
    alice = a_user()
    await given(storage, alice, *(a_session(alice, created_at=NOW - timedelta(minutes=n)) for n in range(1, 6)))
    found = Credentials(alice.id, alice.email, alice.username, alice.password_hash, is_active=True)
    box = AesGcmSecretBox(keys=DerivedKeys("a key that everybody knows"))
    second_factor = SecondFactorVerifier(totp=PyotpTotpCodes(issuer="x"), box=box, recovery_codes=RandomRecoveryCodes())
    use_case = OpenSession(
        uow=storage.identity_units,
        issuer=issuer(CountedRefreshTokens(), clock),
        second_factor=second_factor,
        clock=clock,
        max_sessions=7,
    )
    opened = retried(storage.group_commit(use_case))
    command = OpenSessionCommand(found=found, matches=True, device=Device.of("curl/8.9", "192.0.2.7"))

    pairs, failures = await race(WORKERS, lambda _: opened.execute(command))

    assert (len(pairs), failures) == (WORKERS, [])
    async with storage.identity_units() as uow:
        left = await uow.sessions.list_live(alice.id, at=NOW)
    assert len(left) == 7
    assert {session.created_at for session in left} == {NOW}


async def test_twenty_replays_after_the_grace_close_the_session_once(storage: Storage, clock: SettableClock) -> None:
    refresh_tokens = CountedRefreshTokens()
    alice = a_user()
    session_id = SessionId(an_id())
    spent = refresh_tokens.first(session_id)
    current = refresh_tokens.successor(spent)
    await given(storage, alice, a_session(alice, id=session_id, current=refresh_tokens.hash(current), generation=1))
    use_case = retried(
        RefreshSession(
            uow=storage.identity_units,
            refresh_tokens=refresh_tokens,
            issuer=issuer(refresh_tokens, clock),
            clock=clock,
        )
    )

    async def scenario(_: int) -> TokenPairView:
        return await use_case.execute(RefreshSessionCommand(refresh_tokens.serialize(spent)))

    pairs, failures = await race(WORKERS, scenario)

    # The first to come closes the session and says why; to the others it is closed already.
    assert pairs == []
    assert [type(failure) for failure in failures].count(TokenReused) == 1
    assert (await load_session(storage, session_id)).revoked_at == NOW
