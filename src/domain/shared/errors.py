"""Everything that can go wrong by the rules, as a family (what kind) and a slug (which one).

A family says how a caller should react; the HTTP entrypoint maps families to statuses in one table.
A slug is part of the public contract: it never changes its meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


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
    """One faulty field: `field` is its path (`items/0/quantity`), `code` a stable word, `message` for people."""

    field: str
    code: str
    message: str


class Invalid(PosternError):
    """Family: the input breaks a rule; sending it again unchanged fails again."""

    slug = "invalid-input"
    title = "The request is not valid"

    def __init__(self, errors: Iterable[FieldError] = (), detail: str | None = None) -> None:
        self.errors = tuple(errors)
        super().__init__(detail or (self.errors[0].message if len(self.errors) == 1 else None))


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
