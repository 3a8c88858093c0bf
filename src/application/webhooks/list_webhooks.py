"""Listing webhooks."""

from dataclasses import dataclass
from uuid import UUID

from application.shared.paging import CursorCodec, PageRequest
from application.webhooks.ports import WebhookReader
from application.webhooks.views import WebhookPageView
from domain.shared.actor import Actor, Permission
from domain.shared.ids import WebhookId

_SCOPE = "webhooks"


@dataclass(frozen=True, slots=True)
class ListWebhooksQuery:
    actor: Actor
    page: PageRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWebhooks:
    """List the webhooks of the installation, newest first. Only administrators may."""

    reader: WebhookReader
    cursors: CursorCodec

    async def execute(self, query: ListWebhooksQuery) -> WebhookPageView:
        query.actor.require(Permission.MANAGE_WEBHOOKS)
        cursor = query.page.cursor
        before = None if cursor is None else WebhookId(self.cursors.decode(_SCOPE, cursor))
        found = await self.reader.newest(limit=query.page.limit, before=before)
        last = UUID(found.items[-1].id) if found.more else None
        return WebhookPageView(found.items, None if last is None else self.cursors.encode(_SCOPE, last))
