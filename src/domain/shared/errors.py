"""Everything that can go wrong by the rules, as a family (what kind) and a slug (which one).

A family says how a caller should react; the HTTP entrypoint maps families to statuses in one table.
A slug is part of the public contract: it never changes its meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Final

ERRORS_MAX: Final = 20
"""Faulty fields that are told at once: a hostile body can have a hundred thousand, and who mends one reads a few."""
_NAMED: Final = 3
"""Faulty fields that the detail names; the others are in `errors`."""


class PosternError(Exception):
    """The root: a failure with a public name. Its text may be shown to the caller; it never quotes a secret."""

    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.title)

    @property
    def detail(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One faulty field: `field` is its path (`items/0/quantity`, `?limit` for a parameter), `code` a stable word.

    `message` is for people, and says of the field what it is or must be: "is missing".
    """

    field: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"`{self.field.removeprefix('?')}` {self.message}" if self.field else f"The body {self.message}"


class Invalid(PosternError):
    """Family: the input breaks a rule; sending it again unchanged fails again.

    `errors` are looked for only as far as they are told: `ERRORS_MAX`, and one more to know that there are others.
    `left_out` says that there may be others, which were not looked for.
    """

    slug = "invalid-input"
    title = "The request is not valid"

    def __init__(self, errors: Iterable[FieldError] = (), detail: str | None = None, *, left_out: bool = False) -> None:
        found = tuple(islice(errors, ERRORS_MAX + 1))
        self.errors = found[:ERRORS_MAX]
        super().__init__(detail or _summary(self.errors, left_out=left_out or len(found) > ERRORS_MAX))


def _summary(errors: tuple[FieldError, ...], *, left_out: bool) -> str | None:
    if not errors:
        return None
    more = len(errors) - _NAMED
    named = [str(error).removesuffix(".") for error in errors[:_NAMED]]
    told = "; ".join([*named, *([f"and {more} more"] if more > 0 else [])]) + "."
    return f"{told} There may be other faults, which are left out." if left_out else told


class Unauthenticated(PosternError):
    """Family: no credentials, or none that hold."""

    slug = "unauthenticated"
    title = "Sign in first"


class Forbidden(PosternError):
    """Family: we know who you are, and you may not."""

    slug = "forbidden"
    title = "Not allowed"


class NotFound(PosternError):
    """Family: it is not there, or it is not yours to know of. The two are indistinguishable on purpose."""

    slug = "not-found"
    title = "Not found"


class Conflict(PosternError):
    """Family: valid in itself, but at odds with what is stored."""

    slug = "conflict"
    title = "In conflict with what is stored"

    def __init__(self, detail: str | None = None, errors: Iterable[FieldError] = ()) -> None:
        self.errors = tuple(islice(errors, ERRORS_MAX))
        super().__init__(detail)


class Stale(PosternError):
    """Family: the caller decided on a version that is no longer the current one."""

    slug = "stale"
    title = "It has changed since you read it"
