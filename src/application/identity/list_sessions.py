"""Listing one's sessions."""

from dataclasses import dataclass

from application.identity.pages import decode_position, next_cursor
from application.identity.ports import SessionReader
from application.identity.views import SessionPageView
from application.shared.clock import Clock
from application.shared.paging import CursorCodec, PageRequest, scope_of
from domain.shared.actor import Actor
from domain.shared.ids import SessionId


@dataclass(frozen=True, slots=True)
class ListSessionsQuery:
    actor: Actor
    page: PageRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSessions:
    """List the caller's live sessions, newest first: where and when each was opened, and which is the present one."""

    sessions: SessionReader
    cursors: CursorCodec
    clock: Clock

    async def execute(self, query: ListSessionsQuery) -> SessionPageView:
        scope = scope_of("sessions", {"of": str(query.actor.user_id)})
        before = decode_position(self.cursors, scope, query.page)
        found = await self.sessions.live(
            query.actor.user_id,
            at=self.clock.now(),
            current=query.actor.session_id,
            limit=query.page.limit,
            before=None if before is None else SessionId(before),
        )
        last = found.items[-1].id if found.more else None
        return SessionPageView(found.items, next_cursor(self.cursors, scope, last))
