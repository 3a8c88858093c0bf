"""A field that is new, or gone, is decided on wherever fields are listed: what forgets it fails with its name."""

import ast
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from application.events.catalogue import CATALOGUE
from application.identity.views import AccountView, ApiKeyView, SessionView, TotpStateView, UserView
from application.orders.views import OrderView
from application.posts.views import PostView, VoteView
from application.webhooks.views import DeliveryDetailView, WebhookView
from domain.identity.api_key import ApiKey
from domain.identity.events import RoleChanged, UserCreated, UserDeleted, UserReinstated, UserSignedUp, UserSuspended
from domain.identity.second_factor import SecondFactor
from domain.identity.session import Session
from domain.identity.user import User
from domain.orders.events import OrderStatusChanged
from domain.orders.order import Order
from domain.posts.events import PostDeleted, VoteCast
from domain.posts.post import Post
from domain.posts.vote import Ballot
from domain.shared.events import Aggregate, DomainEvent
from domain.webhooks.delivery import Delivery
from domain.webhooks.endpoint import WebhookEndpoint
from tests.aggregates import AGGREGATES, fields_of, names_of
from tests.filled import FILLED, NEW

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Shown:
    """How a view shows an aggregate: under which other names, and what it leaves out, with the reason."""

    view: type[msgspec.Struct]
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    """Members that only share their name with a field."""


_VERSION_IN_ETAG = "it is the ETag"
_OWN = "the list is its owner's"

SHOWN: Final[dict[type[Aggregate], list[Shown]]] = {
    User: [
        Shown(
            AccountView,
            withheld={
                "password_hash": "secret",
                "status": "who sees it is active",
                "version": _VERSION_IN_ETAG,
            },
        ),
        Shown(UserView, withheld={"password_hash": "secret", "version": _VERSION_IN_ETAG}),
    ],
    Session: [
        Shown(
            SessionView,
            renamed={"device": ("user_agent", "address")},
            withheld={
                "user_id": _OWN,
                "current": "secret",
                "generation": "inner: of the chain of refresh tokens",
                "spent": "secret",
                "earlier_exchanges": "inner: of the chain of refresh tokens",
                "newest_used": "inner: of the chain of refresh tokens",
                "version": "inner: no client changes a session conditionally",
            },
            own=frozenset({"current"}),
        )
    ],
    SecondFactor: [
        Shown(
            TotpStateView,
            renamed={"confirmed_at": ("enabled",), "recovery": ("recovery_codes_left",)},
            withheld={
                "user_id": _OWN,
                "sealed_secret": "secret",
                "last_step": "inner: against replay",
                "failures": "it would tell how far guessing has come",
                "blocked_until": "it would tell when to go on guessing",
                "created_at": "inner: when an enrolment began",
                "version": "inner: no client changes it conditionally",
            },
        )
    ],
    ApiKey: [Shown(ApiKeyView, withheld={"user_id": _OWN, "hash": "secret"})],
    Post: [Shown(PostView, renamed={"author_id": ("author",)})],
    Ballot: [
        Shown(
            VoteView,
            renamed={"direction": ("dir",), "tally": ("score", "upvotes", "downvotes")},
            withheld={
                "author_id": "of the post, which shows it",
                "post_version": "of the post, which shows it",
                "published_at": "of the post, which shows it",
                "voter_id": "it is the caller",
            },
        )
    ],
    Order: [
        Shown(
            OrderView,
            renamed={"customer_id": ("user_id",), "lines": ("items",), "address": ("shipping_address",)},
        )
    ],
    WebhookEndpoint: [
        Shown(
            WebhookView,
            renamed={"previous_until": ("previous_secret_until",)},
            withheld={
                "secret": "secret",
                "previous_secret": "secret",
                "from_position": "inner: a place in the event log",
            },
        )
    ],
    Delivery: [
        Shown(
            DeliveryDetailView,
            renamed={"endpoint_id": ("webhook_id",), "body": ("payload",)},
            withheld={"claim": "inner: which worker has it"},
        )
    ],
}

UNTOLD: Final[dict[type[DomainEvent], dict[str, str]]] = {
    UserSignedUp: {"username": "a name"},
    UserCreated: {"username": "a name", "by": "the audit trail's"},
    UserDeleted: {"by": "the audit trail's"},
    UserSuspended: {"by": "the audit trail's", "reason": "a text, and the audit trail's"},
    UserReinstated: {"by": "the audit trail's"},
    RoleChanged: {"by": "the audit trail's"},
    PostDeleted: {"deleted_by": "the audit trail's"},
    VoteCast: {"author_id": "of the post, whose events tell it", "direction": "it is told as `dir`"},
    OrderStatusChanged: {"by": "the audit trail's"},
}
"""What an event that leaves does not tell of itself, and why; `at` is the envelope's."""

every_aggregate = pytest.mark.parametrize("kind", AGGREGATES)


def is_empty(value: object) -> bool:
    return value is None or (not value and not isinstance(value, bool))


@every_aggregate
def test_no_field_of_a_filled_aggregate_is_at_its_default(kind: type[Aggregate]) -> None:
    filled, new = fields_of(FILLED[kind]()), fields_of(NEW[kind]())

    at_default = [name for name, value in filled.items() if is_empty(value) or value == new[name]]

    assert at_default == []


@every_aggregate
def test_no_two_fields_of_a_filled_aggregate_can_be_taken_for_each_other(kind: type[Aggregate]) -> None:
    fields = fields_of(FILLED[kind]())

    alike = [
        (one, other)
        for one, other in combinations(fields, 2)
        if type(fields[one]) is type(fields[other])
        and fields[one] == fields[other]
        # There are but two truth values.
        and not isinstance(fields[one], bool)
    ]

    assert alike == []


@every_aggregate
def test_every_field_is_shown_or_withheld_for_a_reason(kind: type[Aggregate]) -> None:
    for shown in SHOWN[kind]:
        fields, members = set(names_of(kind)), {member.name for member in msgspec.structs.fields(shown.view)}

        decided = {*shown.renamed, *shown.withheld, *(members - shown.own)}
        assert fields - decided == set(), f"{shown.view.__name__} does not show these, and no reason is given here"
        assert fields >= {*shown.renamed, *shown.withheld}
        assert members >= {name for names in shown.renamed.values() for name in names}
        assert not members & set(shown.withheld) - shown.own


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.__name__)
def test_every_field_of_an_event_that_leaves_is_told_or_kept_back_for_a_reason(kind: type[DomainEvent]) -> None:
    fields = {field.name for field in dataclasses.fields(kind)} - {"at"}
    told: Any = {field.name for field in msgspec.structs.fields(CATALOGUE[kind].schema)}

    assert fields - told == set(UNTOLD.get(kind, {})), f"of {kind.__name__}"


def test_what_is_kept_back_is_of_events_that_leave() -> None:
    assert set(UNTOLD) <= set(CATALOGUE)


def unread(module: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Return the fields of the classes with such names that nothing in their module reads, by class and name."""
    tree = ast.parse(module.read_text())
    read: set[str] = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id != "self"
    }
    return [
        f"{kind.name}.{member.target.id}"
        for kind in tree.body
        if isinstance(kind, ast.ClassDef) and kind.name.endswith(suffixes)
        for member in kind.body
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
        # A body makes a command of itself.
        if member.target.id not in read | {node.attr for node in ast.walk(kind) if isinstance(node, ast.Attribute)}
    ]


@pytest.mark.parametrize(
    ("files", "suffixes"),
    [("application/*/*.py", ("Command", "Query")), ("entrypoints/http/*/*schemas.py", ("Body",))],
    ids=["use cases", "HTTP"],
)
def test_every_field_that_a_caller_may_set_is_read(files: str, suffixes: tuple[str, ...]) -> None:
    modules = sorted((ROOT / "src").glob(files))

    assert len(modules) > 5
    assert [field for module in modules for field in unread(module, suffixes)] == []
