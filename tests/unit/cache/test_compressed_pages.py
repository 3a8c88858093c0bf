"""Pages that may be sent compressed count for that from the beginning, in every cache that keeps them."""

import pytest

from adapters.cache.feed import CachedPublicFeed
from adapters.cache.pages import COMPRESSED_FROM_BYTES, ENTRY_OVERHEAD_BYTES, Loaded, RevisedPages, size_of
from application.posts.read_feed import PublicFeed, PublicFeedQuery
from application.shared.paging import PageRequest
from application.shared.pending import settled
from application.shared.views import EncodedPage
from domain.posts.ranking import Sort
from entrypoints.http.edge.compression import COMPRESSED_MIN_BYTES


def a_page(size: int) -> EncodedPage:
    return EncodedPage(b"x" * size, "tag", None)


def test_only_what_is_long_enough_is_compressed() -> None:
    assert COMPRESSED_FROM_BYTES == COMPRESSED_MIN_BYTES


@pytest.mark.parametrize(
    ("size", "counted"),
    [
        (0, 0),
        (COMPRESSED_FROM_BYTES - 1, COMPRESSED_FROM_BYTES - 1),
        (COMPRESSED_FROM_BYTES, 2 * COMPRESSED_FROM_BYTES),
    ],
)
def test_a_long_body_counts_twice(size: int, counted: int) -> None:
    assert size_of(a_page(size)) == ENTRY_OVERHEAD_BYTES + len("tag") + counted


async def test_so_half_as_many_long_pages_are_kept() -> None:
    pages: RevisedPages[int] = RevisedPages(max_bytes=8 * size_of(a_page(4_000)))

    async def load(expires_at: float) -> Loaded:
        return Loaded(a_page(4_000), expires_at)

    for key in range(20):
        await pages.loaded(key, 1, 60.0, load)
    assert (len(pages), pages.bytes) == (8, 8 * (ENTRY_OVERHEAD_BYTES + len("tag") + 8_000))


class Feed(PublicFeed):
    def page(self, query: PublicFeedQuery) -> EncodedPage:
        return a_page(4_000)


async def test_in_the_feed_for_strangers_too() -> None:
    feed = CachedPublicFeed(Feed(), ttl_seconds=60.0, max_bytes=2 * size_of(a_page(4_000)))
    for limit in range(1, 6):
        await settled(feed.page(PublicFeedQuery(Sort.NEW, PageRequest(limit))))
    assert (feed.statistics.entries, feed.bytes) == (2, 2 * size_of(a_page(4_000)))
