"""Aggregates are dataclasses of one kind, so that what walks over their fields misses none."""

import dataclasses

import pytest

from domain.shared.events import Aggregate
from tests.aggregates import AGGREGATES, names_of

every_aggregate = pytest.mark.parametrize("kind", AGGREGATES)


@every_aggregate
def test_an_aggregate_stores_its_fields_and_nothing_else(kind: type[Aggregate]) -> None:
    assert names_of(kind) == [*kind.__annotations__]
    assert not hasattr(kind.restore(**dict.fromkeys(names_of(kind))), "__dict__")


@every_aggregate
def test_no_field_has_a_default(kind: type[Aggregate]) -> None:
    for name in names_of(kind):
        with pytest.raises(TypeError, match=f"'{name}'"):
            kind.restore(**{other: None for other in names_of(kind) if other != name})


@every_aggregate
def test_an_aggregate_is_compared_by_identity_and_shows_no_field(kind: type[Aggregate]) -> None:
    values = dict.fromkeys(names_of(kind), "a secret")
    assert kind.restore(**values) != kind.restore(**values)
    assert "a secret" not in repr(kind.restore(**values))


@every_aggregate
def test_restoring_gives_the_values_and_no_event(kind: type[Aggregate]) -> None:
    values = {name: object() for name in names_of(kind)}
    restored = kind.restore(**values)
    assert {field.name: getattr(restored, field.name) for field in dataclasses.fields(kind) if field.init} == values
    assert restored.pull_events() == []
