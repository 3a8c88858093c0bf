"""Every aggregate that there is, and its fields: for tests that walk over all of them."""

import dataclasses
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Final

import domain
from domain.shared.events import Aggregate

for _module in walk_packages(domain.__path__, "domain."):
    import_module(_module.name)

# A class that `slots=True` was made of stays a subclass until it is collected; only the newer one is in its module.
AGGREGATES: Final = sorted(
    {kind for kind in Aggregate.__subclasses__() if getattr(import_module(kind.__module__), kind.__name__) is kind},
    key=lambda kind: kind.__name__,
)


def names_of(kind: type[Aggregate]) -> list[str]:
    """Return the names of an aggregate's fields; its events are not a field."""
    return [field.name for field in dataclasses.fields(kind) if field.init]


def fields_of(aggregate: Aggregate) -> dict[str, Any]:
    """Return every field of an aggregate by name."""
    return {name: getattr(aggregate, name) for name in names_of(type(aggregate))}
