"""The public feed."""

from dataclasses import dataclass
from typing import NamedTuple

from application.posts.pages import decode_position, decode_ranked_position, page, ranked_page
from application.posts.ports import ALWAYS, Period, PostReader
from application.posts.views import PostPageView
from application.shared.clock import Clock
from application.shared.paging import CursorCodec, PageRequest, scope_of
from application.shared.views import timestamp
from domain.posts.ranking import Sort
from domain.shared.ids import UserId


class ListFeedQuery(NamedTuple):
    page: PageRequest
    viewer: UserId | None
    author: UserId | None = None
    sort: Sort = Sort.NEW
    period: Period = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFeed:
    """List posts: the newest first, those with the highest score (`top`), or those that rank highest by score and age
    (`hot`). `since` and `until` bound when they were published.

    Answers to other posts stand in their threads and not here, unless the posts of one author are asked for: then all
    of them are listed. Going through the pages neither skips nor repeats a post, even while votes change the order:
    a ranked list keeps, for up to an hour, the order it had when its first page was read.
    """

    reader: PostReader
    cursors: CursorCodec
    clock: Clock

    async def execute(self, query: ListFeedQuery) -> PostPageView:
        scope = _scope(query)
        limit, viewer, period = query.page.limit, query.viewer, query.period
        if query.sort is not Sort.NEW:
            after, as_of = decode_ranked_position(self.cursors, scope, query.page, now=self.clock.now())
            ranked = await self.reader.ranked(
                query.sort,
                limit=limit,
                after=after,
                as_of=as_of,
                viewer=viewer,
                author_id=query.author,
                period=period,
            )
            return ranked_page(self.cursors, scope, ranked, as_of)
        before = decode_position(self.cursors, scope, query.page)
        if query.author is None:
            found = await self.reader.newest(limit=limit, before=before, viewer=viewer, period=period)
        else:
            found = await self.reader.by_author(query.author, limit=limit, before=before, viewer=viewer, period=period)
        return page(self.cursors, scope, found)


def _scope(query: ListFeedQuery) -> str:
    since, until = query.period.since, query.period.until
    return scope_of(
        "feed",
        {
            "author": None if query.author is None else str(query.author),
            "sort": None if query.sort is Sort.NEW else query.sort.value,
            "since": None if since is None else timestamp(since),
            "until": None if until is None else timestamp(until),
        },
    )
