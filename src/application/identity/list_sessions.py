"""Listing one's sessions."""

from dataclasses import dataclass

from application.identity.pages import next_cursor, place
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


class ListSessions:
    """List the caller's live sessions, newest first: where and when each was opened, and which is the present one."""

    def __init__(self, *, sessions: SessionReader, cursors: CursorCodec, clock: Clock) -> None:
        self._sessions = sessions
        self._cursors = cursors
        self._clock = clock

    async def execute(self, query: ListSessionsQuery) -> SessionPageView:
        scope = scope_of("sessions", {"of": str(query.actor.user_id)})
        before = place(self._cursors, scope, query.page)
        found = await self._sessions.live(
            query.actor.user_id,
            at=self._clock.now(),
            current=query.actor.session_id,
            limit=query.page.limit,
            before=None if before is None else SessionId(before),
        )
        last = found.items[-1].id if found.more else None
        return SessionPageView(found.items, next_cursor(self._cursors, scope, last))
