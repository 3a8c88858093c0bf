"""What every storage promises of every field of every aggregate: it comes back, added or changed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import pytest

from application.identity.export_data import AccountExport, ApiKeysExport, SecondFactorExport, SessionsExport
from application.orders.export import OrdersExport
from application.posts.export import PostsExport, VotesExport
from application.posts.views import new_post_view
from application.shared.export import ExportSource
from domain.identity.api_key import ApiKey
from domain.identity.second_factor import SecondFactor
from domain.identity.session import Session
from domain.identity.user import User
from domain.orders.order import Order
from domain.posts.post import Post
from domain.posts.vote import Ballot, Direction
from domain.shared.events import Aggregate
from domain.shared.ids import PostId, UserId
from domain.webhooks.delivery import Delivery
from domain.webhooks.endpoint import WebhookEndpoint
from entrypoints.storage import Storage
from tests.aggregates import AGGREGATES, fields_of, names_of
from tests.builders import NOW, a_delivery, a_post, a_session, a_user, a_webhook, an_order
from tests.contracts.scenarios import given, load_post, load_session, load_user
from tests.filled import (
    a_filled_api_key,
    a_filled_ballot,
    a_filled_delivery,
    a_filled_order,
    a_filled_post,
    a_filled_second_factor,
    a_filled_session,
    a_filled_user,
    a_filled_webhook,
)

Stored = Callable[[Storage], Awaitable[tuple[Aggregate, Aggregate]]]


async def add_factor(storage: Storage, factor: SecondFactor) -> None:
    async with storage.identity_units() as uow:
        await uow.second_factors.add(factor)
        await uow.commit()


async def load_factor(storage: Storage, user_id: UserId) -> SecondFactor:
    async with storage.identity_units() as uow:
        found = await uow.second_factors.find(user_id)
    assert found is not None
    return found


async def add_order(storage: Storage, order: Order) -> None:
    async with storage.orders_units() as uow:
        await uow.orders.add(order)
        await uow.commit()


async def load_order(storage: Storage, order: Order) -> Order:
    async with storage.orders_units() as uow:
        return await uow.orders.get(order.id)


async def add_webhook(storage: Storage, endpoint: WebhookEndpoint, *deliveries: Delivery) -> None:
    async with storage.webhooks_units() as uow:
        await uow.webhooks.add(endpoint)
        await uow.deliveries.add_all(deliveries)
        await uow.commit()


async def load_webhook(storage: Storage, endpoint: WebhookEndpoint) -> WebhookEndpoint:
    async with storage.webhooks_units() as uow:
        return await uow.webhooks.get(endpoint.id)


async def load_delivery(storage: Storage, delivery: Delivery) -> Delivery:
    async with storage.webhooks_units() as uow:
        return await uow.deliveries.get(delivery.id, of=delivery.endpoint_id)


async def vote(storage: Storage, voter: UserId, post_id: PostId, direction: Direction) -> None:
    async with storage.posts_units() as uow:
        ballot = await uow.ballots.get(post_id, voter)
        ballot.cast(direction, at=NOW)
        await uow.ballots.save(ballot, at=NOW)
        await uow.commit()


async def added_user(storage: Storage) -> tuple[User, User]:
    user = a_filled_user()
    await given(storage, user)
    return user, await load_user(storage, user.id)


async def added_session(storage: Storage) -> tuple[Session, Session]:
    user = a_user()
    session = a_filled_session(user)
    await given(storage, user, session)
    return session, await load_session(storage, session.id)


async def added_factor(storage: Storage) -> tuple[SecondFactor, SecondFactor]:
    user = a_user()
    factor = a_filled_second_factor(user)
    await given(storage, user)
    await add_factor(storage, factor)
    return factor, await load_factor(storage, user.id)


async def added_api_key(storage: Storage) -> tuple[ApiKey, ApiKey]:
    user = a_user()
    key = a_filled_api_key(user)
    await given(storage, user)
    async with storage.identity_units() as uow:
        await uow.api_keys.add(key)
        await uow.commit()
    async with storage.identity_units() as uow:
        return key, await uow.api_keys.get(user.id, key.id)


async def added_post(storage: Storage) -> tuple[Post, Post]:
    user = a_user()
    beginning = a_post(user)
    post = a_filled_post(user, beginning)
    # Storage counts the answers itself, from none.
    answers = [a_post(user, reply_to=post) for _ in range(post.replies)]
    new = Post.restore(**{**fields_of(post), "replies": 0})
    await given(storage, user, beginning, new, *answers)
    return post, await load_post(storage, post.id)


async def added_ballot(storage: Storage) -> tuple[Ballot, Ballot]:
    author, voter, others = a_user(), a_user(), [a_user(), a_user()]
    post = a_post(author, version=7)
    ballot = a_filled_ballot(voter, post)
    await given(storage, author, voter, *others, post)
    await vote(storage, voter.id, post.id, ballot.direction)
    for other in others:
        await vote(storage, other.id, post.id, Direction.UP)
    async with storage.posts_units() as uow:
        return ballot, await uow.ballots.get(post.id, voter.id)


async def added_order(storage: Storage) -> tuple[Order, Order]:
    user = a_user()
    order = a_filled_order(user)
    await given(storage, user)
    await add_order(storage, order)
    return order, await load_order(storage, order)


async def added_webhook(storage: Storage) -> tuple[WebhookEndpoint, WebhookEndpoint]:
    endpoint = a_filled_webhook()
    await add_webhook(storage, endpoint)
    return endpoint, await load_webhook(storage, endpoint)


async def added_delivery(storage: Storage) -> tuple[Delivery, Delivery]:
    endpoint = a_webhook()
    delivery = a_filled_delivery(endpoint)
    await add_webhook(storage, endpoint, delivery)
    return delivery, await load_delivery(storage, delivery)


ADDED: Final[Mapping[type[Aggregate], Stored]] = {
    User: added_user,
    Session: added_session,
    SecondFactor: added_factor,
    ApiKey: added_api_key,
    Post: added_post,
    Ballot: added_ballot,
    Order: added_order,
    WebhookEndpoint: added_webhook,
    Delivery: added_delivery,
}


def changed(stored: Any, to: Aggregate) -> None:
    """Set every field of a loaded aggregate that may ever change, except for its version, to that of another."""
    for name in may_change(type(to)):
        setattr(stored, name, getattr(to, name))


async def saved_user(storage: Storage) -> tuple[User, User]:
    user, to = a_user(), a_filled_user()
    await given(storage, user)
    async with storage.identity_units() as uow:
        loaded = await uow.users.get(user.id)
        changed(loaded, to)
        await uow.users.save(loaded)
        await uow.commit()
    return to, await load_user(storage, user.id)


async def saved_session(storage: Storage) -> tuple[Session, Session]:
    user = a_user()
    session, to = a_session(user), a_filled_session(user)
    await given(storage, user, session)
    async with storage.identity_units() as uow:
        loaded = await uow.sessions.get(session.id)
        changed(loaded, to)
        await uow.sessions.save(loaded)
        await uow.commit()
    return to, await load_session(storage, session.id)


async def saved_factor(storage: Storage) -> tuple[SecondFactor, SecondFactor]:
    user = a_user()
    to = a_filled_second_factor(user)
    await given(storage, user)
    await add_factor(storage, SecondFactor.enrol(user_id=user.id, sealed_secret=b"another", at=NOW))
    async with storage.identity_units() as uow:
        loaded = await uow.second_factors.find(user.id)
        assert loaded is not None
        changed(loaded, to)
        await uow.second_factors.save(loaded)
        await uow.commit()
    return to, await load_factor(storage, user.id)


async def saved_post(storage: Storage) -> tuple[Post, Post]:
    user = a_user()
    post = a_post(user)
    to = a_filled_post(user, post)
    await given(storage, user, post)
    async with storage.posts_units() as uow:
        loaded = await uow.posts.get(post.id)
        changed(loaded, to)
        await uow.posts.save(loaded, owner=user.id)
        await uow.commit()
    return to, await load_post(storage, post.id)


async def saved_order(storage: Storage) -> tuple[Order, Order]:
    user = a_user()
    order, to = an_order(user), a_filled_order(user)
    await given(storage, user)
    await add_order(storage, order)
    async with storage.orders_units() as uow:
        loaded = await uow.orders.get(order.id)
        changed(loaded, to)
        await uow.orders.save(loaded)
        await uow.commit()
    return to, await load_order(storage, order)


async def saved_webhook(storage: Storage) -> tuple[WebhookEndpoint, WebhookEndpoint]:
    endpoint, to = a_webhook(), a_filled_webhook()
    await add_webhook(storage, endpoint)
    async with storage.webhooks_units() as uow:
        loaded = await uow.webhooks.get(endpoint.id)
        changed(loaded, to)
        await uow.webhooks.save(loaded)
        await uow.commit()
    return to, await load_webhook(storage, endpoint)


async def saved_delivery(storage: Storage) -> tuple[Delivery, Delivery]:
    endpoint = a_webhook()
    delivery, to = a_delivery(endpoint), a_filled_delivery(endpoint)
    await add_webhook(storage, endpoint, delivery)
    async with storage.webhooks_units() as uow:
        loaded = await uow.deliveries.get(delivery.id, of=endpoint.id)
        changed(loaded, to)
        await uow.deliveries.save(loaded)
        await uow.commit()
    return to, await load_delivery(storage, delivery)


SAVED: Final[Mapping[type[Aggregate], Stored]] = {
    User: saved_user,
    Session: saved_session,
    SecondFactor: saved_factor,
    Post: saved_post,
    Order: saved_order,
    WebhookEndpoint: saved_webhook,
    Delivery: saved_delivery,
}
"""All but API keys, which never change, and ballots, of which adding is saving."""

NEVER_SAVED: Final[Mapping[type[Aggregate], set[str]]] = {
    User: {"id", "created_at"},
    Session: {"id", "user_id", "device", "created_at", "expires_at"},
    SecondFactor: {"user_id"},
    Post: {"id", "author_id", "created_at", "reply_to", "replies"},
    Order: {"id", "customer_id", "lines", "address", "created_at"},
    # Whether it answers is noted beside the version: see `set_failing_since`.
    WebhookEndpoint: {"id", "created_at", "failing_since"},
    Delivery: {"id", "endpoint_id", "event_id", "event_type", "body", "created_at"},
}
"""What is as it was made, as far as `save` goes. Every other field is one that saving stores."""


def may_change(kind: type[Aggregate]) -> list[str]:
    return [name for name in names_of(kind) if name not in NEVER_SAVED[kind] | {"version"}]


def differing(kept: Aggregate, loaded: Aggregate) -> dict[str, tuple[Any, Any]]:
    """Return the fields that came back with another value, and both values."""
    before, after = fields_of(kept), fields_of(loaded)
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


@pytest.mark.parametrize("kind", AGGREGATES)
async def test_every_field_of_what_is_added_comes_back(storage: Storage, kind: type[Aggregate]) -> None:
    added, loaded = await ADDED[kind](storage)

    assert differing(added, loaded) == {}


@pytest.mark.parametrize("kind", SAVED)
async def test_every_field_of_what_is_saved_comes_back(storage: Storage, kind: type[Aggregate]) -> None:
    saved, loaded = await SAVED[kind](storage)

    unlike = differing(saved, loaded)
    assert {name: unlike[name] for name in may_change(kind) if name in unlike} == {}


EXPORTS: Final[Mapping[type[Aggregate], Callable[[Storage], ExportSource]]] = {
    User: lambda storage: AccountExport(storage.accounts),
    Session: lambda storage: SessionsExport(storage.sessions),
    SecondFactor: lambda storage: SecondFactorExport(storage.identity_units),
    ApiKey: lambda storage: ApiKeysExport(storage.api_keys),
    Post: lambda storage: PostsExport(storage.posts),
    Ballot: lambda storage: VotesExport(storage.votes),
    Order: lambda storage: OrdersExport(storage.orders),
}
"""What somebody is given of each kind that they have."""
NOBODYS: Final = {WebhookEndpoint, Delivery}
"""The installation's."""

_UNVOTED: Final = "nobody has voted: votes are counted in storage, and shown in the tests of votes"

EMPTY: Final = {
    "SessionView.current": "an export is read by no session",
    "PostView.excerpt": "there is no search",
    "PostView.deleted": "it is no tombstone",
    "PostView.score": _UNVOTED,
    "PostView.upvotes": _UNVOTED,
    "PostView.downvotes": _UNVOTED,
    "PostView.my_vote": _UNVOTED,
    "WebhookView.enabled": "it is disabled, for a reason that is shown",
}
"""What may be empty in a view of an aggregate that has no empty field, and why."""


async def user_of(storage: Storage, user: Any) -> Any:
    found = await storage.users.find(user.id, full=True)
    return found and found.view


READ: Final[Mapping[type[Aggregate], Callable[[Storage, Any], Awaitable[Any]]]] = {
    User: user_of,
    Post: lambda storage, post: storage.posts.get(post.id, viewer=post.author_id),
    Order: lambda storage, order: storage.orders.get(order.id),
    WebhookEndpoint: lambda storage, endpoint: storage.webhooks.get(endpoint.id),
    Delivery: lambda storage, delivery: storage.webhooks.delivery(delivery.id, of=delivery.endpoint_id),
}
"""What others read of those kinds that are not only for their owner to see."""


def empty_members(view: Any) -> set[str]:
    members = {member.name: getattr(view, member.name) for member in msgspec.structs.fields(view)}
    return {f"{type(view).__name__}.{name}" for name, value in members.items() if not value or value is msgspec.UNSET}


def test_every_kind_is_exported_or_nobodys() -> None:
    assert set(AGGREGATES) == EXPORTS.keys() | NOBODYS


@pytest.mark.parametrize("kind", EXPORTS)
async def test_an_export_leaves_no_member_empty(storage: Storage, kind: type[Aggregate]) -> None:
    added, _ = await ADDED[kind](storage)
    fields = fields_of(added)
    owner = next(fields[name] for name in ("user_id", "voter_id", "author_id", "customer_id", "id") if name in fields)

    exported = [item async for batch in EXPORTS[kind](storage).batches(owner) for item in batch]

    # Of several posts, the one that is an answer and has answers; of everything else there is one.
    [found] = exported if kind is not Post else [item for item in exported if item.id == str(fields["id"])]
    assert empty_members(found) <= EMPTY.keys()


@pytest.mark.parametrize("kind", READ)
async def test_a_view_leaves_no_member_empty(storage: Storage, kind: type[Aggregate]) -> None:
    added, _ = await ADDED[kind](storage)

    assert empty_members(await READ[kind](storage, added)) <= EMPTY.keys()


async def test_a_new_post_is_answered_as_it_will_be_read(storage: Storage) -> None:
    user = a_user(name="Alice Ängström")
    beginning = a_post(user)
    post = Post.restore(**{**fields_of(a_filled_post(user, beginning)), "replies": 0})
    await given(storage, user, beginning, post)
    author = await storage.authors.find(user.id)
    assert author is not None

    assert new_post_view(post, author) == await storage.posts.get(post.id, viewer=user.id)
