"""What events say of what happened: the `data` of each type and version.

Thin on purpose: ids, versions, states and counts. Events lie in queues and logs of others, where nothing is deleted
with its author; so they hold no text, no name and no address. Who wants to show more reads it by id, with the right to.

A schema that was published is never changed in a way that an older consumer would stumble over: it gets a new version
beside it (see `docs/events/`).
"""

from inspect import cleandoc
from typing import Annotated, Any, Literal

import msgspec

from application.shared.event_log import LoggedEvent
from application.shared.views import Id, Timestamp, timestamp

Version = Annotated[int, msgspec.Meta(ge=1, description="The version of the resource after the change.")]
Count = Annotated[int, msgspec.Meta(ge=0)]
RoleName = Literal["user", "moderator", "admin"]
OrderStatusName = Literal["pending", "confirmed", "shipped", "delivered", "cancelled"]


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What every event's data is."""


class UserData(Data, frozen=True, kw_only=True):
    """What every event of an account says."""

    user_id: Id


class PostData(Data, frozen=True, kw_only=True):
    """What every event of a post says."""

    post_id: Id
    author_id: Id
    version: Version


class UserSignedUpV1(UserData, frozen=True, kw_only=True):
    """Somebody made an account."""


class UserCreatedV1(UserData, frozen=True, kw_only=True):
    """An administrator made an account for somebody."""

    role: RoleName


class UserDeletedV1(UserData, frozen=True, kw_only=True):
    """An account is gone, and with it its posts and votes, of which no events of their own tell."""


class UserSuspendedV1(UserData, frozen=True, kw_only=True):
    """An account was shut out."""


class UserReinstatedV1(UserData, frozen=True, kw_only=True):
    """A suspended account was let in again."""


class UserRoleChangedV1(UserData, frozen=True, kw_only=True):
    """An account has another role."""

    before: RoleName
    after: RoleName


class UserProfileChangedV1(UserData, frozen=True, kw_only=True):
    """A username, a name or a phone number changed."""


class UserEmailVerifiedV1(UserData, frozen=True, kw_only=True):
    """Somebody proved that the address of their account is theirs."""


class PostPublishedV1(PostData, frozen=True, kw_only=True):
    """A post is there; with `reply_to`, it answers that one."""

    reply_to: Id | None


class PostEditedV1(PostData, frozen=True, kw_only=True):
    """A post has another text."""


class PostDeletedV1(PostData, frozen=True, kw_only=True):
    """A post is gone; `version` is the last that it had."""

    version: Annotated[int, msgspec.Meta(ge=1)]


class VoteCastV1(Data, frozen=True, kw_only=True):
    """Somebody set their vote on a post, or took it back (`dir` 0); the counts are the post's, with this vote."""

    post_id: Id
    dir: Literal[-1, 0, 1]
    score: int
    upvotes: Count
    downvotes: Count
    voter_id: Id | msgspec.UnsetType = msgspec.UNSET
    """Left out where anybody may be reading."""


class OrderPlacedV1(Data, frozen=True, kw_only=True):
    """An order is there."""

    order_id: Id
    customer_id: Id | None
    status: OrderStatusName
    version: Version


class OrderStatusChangedV1(Data, frozen=True, kw_only=True):
    """An order has another status. `customer_id` is null once the account is deleted."""

    order_id: Id
    customer_id: Id | None
    before: OrderStatusName
    after: OrderStatusName
    version: Version


class WebhookTestV1(Data, frozen=True, kw_only=True):
    """An administrator tries a webhook out. It is sent by webhook alone, to that one, and nobody subscribes to it."""

    webhook_id: Id


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of every event: CloudEvents 1.0, in its JSON format."""

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[Id, msgspec.Meta(description="Of the event. One that comes twice has the same id both times.")]
    source: Annotated[str, msgspec.Meta(description="The API that it comes from.")]
    type: Annotated[str, msgspec.Meta(examples=["post.published"])]
    subject: Annotated[Id, msgspec.Meta(description="What changed.")]
    time: Timestamp
    sequence: (
        Annotated[
            str,
            msgspec.Meta(
                pattern="^[0-9]{20}$",
                description="Where the event stands among all (CloudEvents' extension of this name): of two, the "
                "one with the smaller text came first. A test of a webhook has none.",
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Annotated[str, msgspec.Meta(description="Where the schema of `data` is; it ends with the version.")]
    data: Any


_ENCODER = msgspec.json.Encoder()


def encoded(data: Data) -> bytes:
    """Return the JSON object that stands for `data`."""
    return _ENCODER.encode(data)


def schema_of(type: str, version: int, data: type[Data]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the data of a type and version."""
    # What a type refers to stands within it, so that the schema is complete by itself.
    (_,), components = msgspec.json.schema_components([data], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = components[data.__name__]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"{type}, version {version}",
        "description": cleandoc(str(data.__doc__)),
    }


class Envelopes:
    """Makes the bytes that go to consumers, the same by every way. `api` is where the API is reached from outside."""

    def __init__(self, *, api: str) -> None:
        self._source = api

    def __call__(self, event: LoggedEvent) -> bytes:
        return _ENCODER.encode(
            CloudEvent(
                id=str(event.id),
                source=self._source,
                type=event.type,
                subject=str(event.subject),
                time=timestamp(event.time),
                sequence=f"{event.position:020d}" if event.position else msgspec.UNSET,
                dataschema=f"{self._source}/events/schemas/{event.type}/{event.version}",
                data=msgspec.Raw(event.data),
            )
        )
