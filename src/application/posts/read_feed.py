"""The feed as bytes ready for the wire."""

from dataclasses import dataclass
from typing import Protocol

from application.posts.list_feed import ListFeed, ListFeedQuery
from application.posts.ports import ALWAYS
from application.posts.views import encoded_page
from application.shared.paging import PageRequest
from application.shared.threads import AT_ONCE, Threads
from application.shared.views import EncodedPage
from domain.posts.ranking import Sort


@dataclass(frozen=True, slots=True)
class PublicFeedQuery:
    """A page of everybody's feed as somebody sees it who is not signed in: there are few different ones."""

    sort: Sort
    page: PageRequest


class PublicFeed(Protocol):
    """Reads pages of the public feed; the port that the feed's cache stands behind.

    What it returns may be some seconds old, as long as its implementation says.
    """

    async def page(self, query: PublicFeedQuery) -> EncodedPage:
        """Raises `InvalidCursor`."""
        ...

    def page_at_once(self, query: PublicFeedQuery) -> EncodedPage | None:  # noqa: ARG002 - as implemented
        """Return what `page` would, where nothing has to be waited for; else None, and `page` is to be asked."""
        return None


class StoredPublicFeed(PublicFeed):
    """Reads the page from storage each time: what a cache stands in front of."""

    def __init__(self, *, list_feed: ListFeed, threads: Threads = AT_ONCE) -> None:
        self._list_feed = list_feed
        self._threads = threads

    async def page(self, query: PublicFeedQuery) -> EncodedPage:
        page = await self._list_feed.execute(ListFeedQuery(query.page, None, sort=query.sort))
        return await encoded_page(page, self._threads)


class ExactFeed(Protocol):
    """Reads pages of the feed as they are stored; the port that a cache stands behind which knows what is current."""

    async def page(self, query: ListFeedQuery) -> EncodedPage:
        """Return a page that holds every write which was acknowledged before. Raises `InvalidCursor`."""
        ...

    def page_at_once(self, query: ListFeedQuery) -> EncodedPage | None:  # noqa: ARG002 - as implemented
        """Return what `page` would, where nothing has to be waited for; else None, and `page` is to be asked."""
        return None


class StoredExactFeed(ExactFeed):
    """Reads the page from storage each time."""

    def __init__(self, *, list_feed: ListFeed, threads: Threads = AT_ONCE) -> None:
        self._list_feed = list_feed
        self._threads = threads

    async def page(self, query: ListFeedQuery) -> EncodedPage:
        return await encoded_page(await self._list_feed.execute(query), self._threads)


class ReadFeed:
    """Answer for the feed: from a short-lived cache for those who are not signed in and ask for all of it.

    Somebody who is signed in may have just written, and is always shown what is stored.
    """

    def __init__(self, *, exact: ExactFeed, public: PublicFeed) -> None:
        self._exact = exact
        self._public = public

    async def execute(self, query: ListFeedQuery) -> EncodedPage:
        if _is_public(query):
            return await self._public.page(PublicFeedQuery(query.sort, query.page))
        return await self._exact.page(query)

    def execute_at_once(self, query: ListFeedQuery) -> EncodedPage | None:
        """Return what `execute` would, where nothing has to be waited for; else None."""
        if _is_public(query):
            return self._public.page_at_once(PublicFeedQuery(query.sort, query.page))
        return self._exact.page_at_once(query)


def _is_public(query: ListFeedQuery) -> bool:
    return query.viewer is None and query.author is None and query.period == ALWAYS
