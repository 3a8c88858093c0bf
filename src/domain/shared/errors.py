"""Everything that can go wrong by the rules, as a family (what kind) and a slug (which one).

A family says how a caller should react; the HTTP entrypoint maps families to statuses in one table.
A slug is part of the public contract: it never changes its meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

_NAMED: Final = 3
"""Faulty fields that the detail names; all of them are in `errors`."""


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
    """Family: the input breaks a rule; sending it again unchanged fails again."""

    slug = "invalid-input"
    title = "The request is not valid"

    def __init__(self, errors: Iterable[FieldError] = (), detail: str | None = None) -> None:
        self.errors = tuple(errors)
        super().__init__(detail or _told(self.errors))


def _told(errors: tuple[FieldError, ...]) -> str | None:
    if not errors:
        return None
    more = len(errors) - _NAMED
    named = [str(error).removesuffix(".") for error in errors[:_NAMED]]
    return "; ".join([*named, *([f"and {more} more"] if more > 0 else [])]) + "."


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
        self.errors = tuple(errors)
        super().__init__(detail)


class Stale(PosternError):
    """Family: the caller decided on a version that is no longer the current one."""

    slug = "stale"
    title = "It has changed since you read it"
