"""The feed as bytes ready for the wire."""

from typing import NamedTuple, Protocol

from application.posts.list_feed import ListFeed, ListFeedQuery
from application.posts.ports import ALWAYS
from application.posts.views import encoded_page
from application.shared.paging import PageRequest
from application.shared.pending import Pending
from application.shared.threads import INLINE_THREADS, Threads
from application.shared.views import EncodedPage
from domain.posts.ranking import Sort


class PublicFeedQuery(NamedTuple):
    """A page of everybody's feed as somebody sees it who is not signed in: there are few different ones."""

    sort: Sort
    page: PageRequest


class PublicFeed(Protocol):
    """Reads pages of the public feed; the port that the feed's cache stands behind.

    What it returns may be some seconds old, as long as its implementation says.
    """

    def page(self, query: PublicFeedQuery) -> Pending[EncodedPage]:
        """Raises `InvalidCursor`."""
        ...


class StoredPublicFeed(PublicFeed):
    """Reads the page from storage each time: what a cache stands in front of."""

    def __init__(self, *, list_feed: ListFeed, threads: Threads = INLINE_THREADS) -> None:
        self._list_feed = list_feed
        self._threads = threads

    async def page(self, query: PublicFeedQuery) -> EncodedPage:
        page = await self._list_feed.execute(ListFeedQuery(query.page, None, sort=query.sort))
        return await encoded_page(page, self._threads)


class ExactFeed(Protocol):
    """Reads pages of the feed as they are stored; the port that a cache stands behind which knows what is current."""

    def page(self, query: ListFeedQuery) -> Pending[EncodedPage]:
        """Return a page that holds every write which was acknowledged before. Raises `InvalidCursor`."""
        ...


class StoredExactFeed(ExactFeed):
    """Reads the page from storage each time."""

    def __init__(self, *, list_feed: ListFeed, threads: Threads = INLINE_THREADS) -> None:
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

    def execute(self, query: ListFeedQuery) -> Pending[EncodedPage]:
        if _is_public(query):
            return self._public.page(PublicFeedQuery(query.sort, query.page))
        return self._exact.page(query)


def _is_public(query: ListFeedQuery) -> bool:
    return query.viewer is None and query.author is None and query.period == ALWAYS
