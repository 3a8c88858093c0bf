"""Which events leave the house, as what, and that what was promised once is kept."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import msgspec
import pytest

import domain
from application.events.catalogue import CATALOGUE, INTERNAL, SCHEMAS, TYPES, is_external, logged
from application.events.views import Envelopes, schema_of
from domain.identity.events import (
    EmailVerified,
    PasswordChanged,
    ProfileChanged,
    RoleChanged,
    UserCreated,
    UserDeleted,
    UserReinstated,
    UserSignedUp,
    UserSuspended,
)
from domain.orders.events import OrderPlaced, OrderStatusChanged
from domain.orders.status import OrderStatus
from domain.posts.events import PostDeleted, PostEdited, PostPublished, VoteCast
from domain.shared.actor import Role
from domain.shared.events import DomainEvent
from domain.shared.ids import OrderId, PostId, UserId
from tests.builders import NOW, an_id
from tools import event_schemas

WHO, BY = UserId(an_id()), UserId(an_id())
POST, ORDER = PostId(an_id()), OrderId(an_id())

SAMPLES: list[DomainEvent] = [
    UserSignedUp(at=NOW, user_id=WHO, username="alice"),
    *(UserCreated(at=NOW, user_id=WHO, username="alice", role=role, by=BY) for role in Role),
    UserDeleted(at=NOW, user_id=WHO, by=BY),
    UserSuspended(at=NOW, user_id=WHO, reason="a secret reason", by=BY),
    UserReinstated(at=NOW, user_id=WHO, by=BY),
    RoleChanged(at=NOW, user_id=WHO, before=Role.USER, after=Role.ADMIN, by=BY),
    ProfileChanged(at=NOW, user_id=WHO),
    EmailVerified(at=NOW, user_id=WHO),
    PostPublished(at=NOW, post_id=POST, author_id=WHO, version=1),
    PostPublished(at=NOW, post_id=POST, author_id=WHO, version=1, reply_to=PostId(an_id())),
    PostEdited(at=NOW, post_id=POST, author_id=WHO, version=2),
    PostDeleted(at=NOW, post_id=POST, author_id=WHO, version=2, deleted_by=BY),
    *(
        VoteCast(at=NOW, post_id=POST, author_id=WHO, voter_id=BY, direction=direction, upvotes=3, downvotes=5)
        for direction in (-1, 0, 1)
    ),
    OrderPlaced(at=NOW, order_id=ORDER, customer_id=WHO, version=1),
    *(
        OrderStatusChanged(
            at=NOW,
            order_id=ORDER,
            # Shipped when the account is gone.
            customer_id=None if status is OrderStatus.SHIPPED else WHO,
            version=2,
            before=OrderStatus.PENDING,
            after=status,
            by=BY,
        )
        for status in OrderStatus
    ),
]


def every_event() -> Iterator[type[DomainEvent]]:
    """Return every kind of domain event there is: those with a name of their own."""
    for module in walk_packages(domain.__path__, "domain."):
        import_module(module.name)
    left = [DomainEvent]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        # A dataclass with slots is made twice; only the second is in its module.
        if "name" in vars(kind) and getattr(import_module(kind.__module__), kind.__name__) is kind:
            yield kind


@pytest.mark.parametrize("kind", sorted(every_event(), key=str), ids=str)
def test_every_domain_event_leaves_or_stays_for_a_reason(kind: type[DomainEvent]) -> None:
    assert (kind in CATALOGUE) != (kind in INTERNAL)
    assert kind not in INTERNAL or len(INTERNAL[kind]) > 20


def test_the_samples_are_of_every_kind_that_leaves() -> None:
    assert {type(event) for event in SAMPLES} == set(CATALOGUE)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_what_leaves_keeps_to_its_schema(event: DomainEvent) -> None:
    told = logged(event, id=an_id())
    assert told is not None
    assert (told.type, told.time, is_external(event)) == (event.name, NOW, True)
    schema = schema_of(told.type, told.version, SCHEMAS[told.type, told.version])
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())

    validator.validate(json.loads(told.data))

    envelope = json.loads(Envelopes(api="https://api.example.org/api/v1")(told))
    assert envelope["dataschema"].endswith(f"/events/schemas/{told.type}/{told.version}")
    assert envelope["data"] == json.loads(told.data)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_what_leaves_says_what_happened(event: DomainEvent) -> None:
    told = logged(event, id=an_id())
    assert told is not None

    shared = {name: value for name, value in json.loads(told.data).items() if hasattr(event, name)}
    assert shared == {name: msgspec.to_builtins(getattr(event, name)) for name in shared}


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_what_leaves_is_thin(event: DomainEvent) -> None:
    told = logged(event, id=an_id())
    assert told is not None
    assert len(told.data) < 400
    for secret in (b"alice", b"a secret reason"):
        assert secret not in told.data


def test_what_stays_is_not_logged() -> None:
    assert logged(PasswordChanged(at=NOW, user_id=WHO), id=an_id()) is None


def test_every_schema_is_one_and_demands_something() -> None:
    for (type_, version), data in SCHEMAS.items():
        schema = schema_of(type_, version, data)
        jsonschema.Draft202012Validator.check_schema(schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, schema)
        assert not jsonschema.Draft202012Validator(schema).is_valid([])
    assert set(TYPES) == {type_ for type_, _ in SCHEMAS}


def test_the_written_schemas_are_those_that_are_sent() -> None:
    written = {path.name: path.read_text() for path in event_schemas.FOLDER.glob("*.v*.json")}

    assert written == {
        event_schemas.file_of(type_, version).name: event_schemas.text_of(schema_of(type_, version, data))
        for (type_, version), data in SCHEMAS.items()
    }, "run: python -m tools.event_schemas"
    assert event_schemas.INDEX.read_text() == event_schemas.index()


def test_no_schema_demands_anything_else_than_when_it_was_written_first() -> None:
    digests = json.loads(event_schemas.DIGESTS.read_text())

    assert digests == {
        f"{type_}/{version}": event_schemas.digest_of(schema_of(type_, version, data))
        for (type_, version), data in SCHEMAS.items()
    }, "a schema that demands something else is a new version"


def test_another_demand_is_another_digest_and_other_words_are_not() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    reworded = {**schema, "description": "other words"}
    renamed = {**schema, "properties": {"name": {"type": "string"}}}
    loosened = {**schema, "required": []}

    digest = event_schemas.digest_of(schema)
    assert event_schemas.digest_of(reworded) == digest
    assert len({digest, event_schemas.digest_of(renamed), event_schemas.digest_of(loosened)}) == 3


def test_a_changed_schema_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOLDER", "DIGESTS", "INDEX"):
        original: Path = getattr(event_schemas, name)
        monkeypatch.setattr(event_schemas, name, tmp_path if name == "FOLDER" else tmp_path / original.name)
    assert event_schemas.main() == 0
    digests = json.loads(event_schemas.DIGESTS.read_text())
    event_schemas.DIGESTS.write_text(json.dumps({**digests, "post.edited/1": "of another demand"}))
    file = event_schemas.file_of("post.edited", 1)
    file.write_text("as it was")

    assert event_schemas.main() == 1
    assert file.read_text() == "as it was"
    assert json.loads(event_schemas.DIGESTS.read_text())["post.edited/1"] == "of another demand"
