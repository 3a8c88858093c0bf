"""Listing accounts."""

from dataclasses import dataclass

from application.identity.pages import decode_position, next_cursor
from application.identity.ports import UserReader
from application.identity.views import UserPageView
from application.shared.paging import CursorCodec, PageRequest, scope_of
from domain.shared.actor import Actor, Permission
from domain.shared.ids import UserId
from domain.shared.text import canonical_key


@dataclass(frozen=True, slots=True)
class ListUsersQuery:
    actor: Actor
    page: PageRequest
    beginning: str | None = None
    """Only accounts whose username or name begins so; for an administrator also those whose e-mail address does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUsers:
    """List accounts, newest first: public profiles, or all of each for an administrator.

    `q` keeps those whose username or name begins with it, without regard to case or Unicode form; an administrator's
    `q` also looks at e-mail addresses.
    """

    users: UserReader
    cursors: CursorCodec

    async def execute(self, query: ListUsersQuery) -> UserPageView:
        full = query.actor.may(Permission.READ_FULL_PROFILES)
        prefix = None if query.beginning is None else canonical_key(query.beginning)
        scope = scope_of("users", {"q": prefix, "full": "yes" if full else None})
        before = decode_position(self.cursors, scope, query.page)
        found = await self.users.newest(
            limit=query.page.limit,
            before=None if before is None else UserId(before),
            prefix=prefix or None,
            full=full,
        )
        last = found.items[-1].id if found.more else None
        return UserPageView(found.items, next_cursor(self.cursors, scope, last))
