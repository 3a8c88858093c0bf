"""Every error has a public name of its own, and says nothing it should not."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import application
import domain
from application.events.live import TooManyStreams
from application.shared.errors import Unavailable
from application.shared.idempotency import IdempotencyKeyReused
from application.shared.rate_limit import RateLimited
from domain.shared.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    PosternError,
    Stale,
    Unauthenticated,
)

FAMILIES = (Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Stale, Unavailable)
ALONE = (IdempotencyKeyReused, RateLimited, TooManyStreams)
"""Each a family of one."""


def descendants(cls: type[PosternError]) -> Iterator[type[PosternError]]:
    for child in cls.__subclasses__():
        yield child
        yield from descendants(child)


def all_errors() -> list[type[PosternError]]:
    for package in (domain, application):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found = {error for error in descendants(PosternError) if error.__module__.startswith(("domain.", "application."))}
    return sorted(found, key=lambda error: error.__name__)


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_every_error_belongs_to_one_family(error: type[PosternError]) -> None:
    assert len([family for family in (*FAMILIES, *ALONE) if issubclass(error, family)]) == 1


def test_every_slug_but_that_of_a_lost_race_names_one_error() -> None:
    slugs: dict[str, set[str]] = {}
    for error in all_errors():
        slugs.setdefault(error.slug, set()).add(error.__name__)

    # Which way a race was lost is nobody's business outside.
    assert {slug: names for slug, names in slugs.items() if len(names) > 1} == {
        "contention": {"TransientFailure", "VersionConflict"}
    }


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_every_error_can_be_raised_without_words_and_has_some(error: type[PosternError]) -> None:
    assert error().detail
    assert error.slug == error.slug.lower().replace("_", "-").strip()


def test_the_only_faulty_field_is_the_detail() -> None:
    assert Invalid([FieldError("text", "blank", "must say something")]).detail == "must say something"


def test_several_faulty_fields_share_the_title() -> None:
    errors = [FieldError("a", "x", "one"), FieldError("b", "y", "two")]

    assert Invalid(errors).detail == Invalid.title
    assert Invalid(errors).errors == tuple(errors)
