"""Reading the audit trail."""

from dataclasses import dataclass

from application.identity.pages import decode_position, next_cursor
from application.identity.ports import AuditReader
from application.identity.views import AuditPageView
from application.shared.paging import CursorCodec, PageRequest, scope_of
from domain.shared.actor import Actor, Permission
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class ListAuditQuery:
    actor: Actor
    page: PageRequest
    involving: UserId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAudit:
    """Read the audit trail, newest first: who did what to whom, from where and when. For administrators.

    `user` keeps what that user did or had done to them, also when the account is gone.
    """

    audit: AuditReader
    cursors: CursorCodec

    async def execute(self, query: ListAuditQuery) -> AuditPageView:
        query.actor.require(Permission.READ_AUDIT)
        scope = scope_of("audit", {"user": str(query.involving) if query.involving else None})
        before = decode_position(self.cursors, scope, query.page)
        found = await self.audit.newest(limit=query.page.limit, before=before, involving=query.involving)
        last = found.items[-1].id if found.more else None
        return AuditPageView(found.items, next_cursor(self.cursors, scope, last))
