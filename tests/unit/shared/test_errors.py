"""Every error has a public name of its own, and says nothing it should not."""

import importlib
import itertools
import pkgutil
from collections.abc import Iterator

import pytest

import application
import domain
from application.events.live import TooManyStreams
from application.shared.errors import Unavailable
from application.shared.idempotency import IdempotencyKeyReused, TooManyIdempotencyKeys
from application.shared.rate_limit import RateLimited
from domain.shared.errors import (
    ERRORS_MAX,
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
ALONE = (IdempotencyKeyReused, RateLimited, TooManyIdempotencyKeys, TooManyStreams)
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


def test_the_detail_names_the_faulty_fields() -> None:
    errors = [FieldError("text", "blank", "must say something"), FieldError("?limit", "range", "is at most 100")]

    assert Invalid(errors[:1]).detail == "`text` must say something."
    assert Invalid(errors).detail == "`text` must say something; `limit` is at most 100."
    assert Invalid(errors).errors == tuple(errors)


NAMED = "`items/0` is missing; `items/1` is missing; `items/2` is missing; and 17 more."


def test_the_detail_names_three_of_many_faulty_fields() -> None:
    errors = [FieldError(f"items/{n}", "required", "is missing") for n in range(20)]

    assert Invalid(errors).detail == NAMED
    assert Invalid(errors).errors == tuple(errors)


def test_faults_are_told_up_to_twenty_and_no_more_of_them_are_looked_for() -> None:
    endless = (FieldError(f"items/{n}", "required", "is missing") for n in itertools.count())

    refused = Invalid(endless)

    assert len(refused.errors) == ERRORS_MAX == 20
    assert refused.detail == f"{NAMED} There may be other faults, which are left out."
    assert next(endless).field == "items/21"


def test_a_conflict_tells_of_no_more_fields_either() -> None:
    assert len(Conflict(errors=[FieldError("x", "taken", "is taken")] * 30).errors) == ERRORS_MAX


def test_what_is_wrong_with_the_whole_body_is_told_of_the_body() -> None:
    assert Invalid([FieldError("", "encoding", "is not UTF-8")]).detail == "The body is not UTF-8."


def test_a_message_that_ends_as_a_sentence_gets_no_second_full_stop() -> None:
    assert Invalid([FieldError("a", "x", "is wrong: It has no @-sign.")]).detail == "`a` is wrong: It has no @-sign."


def test_an_own_detail_is_kept() -> None:
    assert Invalid([FieldError("a", "x", "is one")], "Both differ.").detail == "Both differ."
