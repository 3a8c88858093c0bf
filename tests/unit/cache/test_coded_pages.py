"""Compressed bytes that a page was given later count in the cache that holds the page."""

import gc
import weakref

import pytest

from adapters.cache.feed import CachedPublicFeed
from adapters.cache.pages import ENTRY_OVERHEAD_BYTES, Loaded, RevisedPages, size_of
from application.posts.read_feed import PublicFeed, PublicFeedQuery
from application.shared.paging import PageRequest
from application.shared.views import EncodedPage
from domain.posts.ranking import Sort

PLAIN = 1_000
ONE = ENTRY_OVERHEAD_BYTES + PLAIN + len("tag")


def a_page() -> EncodedPage:
    return EncodedPage(b"x" * PLAIN, "tag", None)


async def kept(pages: RevisedPages[str], key: str) -> EncodedPage:
    page = a_page()

    async def load(expires_at: float) -> Loaded:
        return Loaded(page, expires_at)

    return await pages.loaded(key, 1, 60.0, load)


async def test_they_count_and_push_out_what_was_used_least() -> None:
    pages: RevisedPages[str] = RevisedPages(max_bytes=2 * ONE + 500)
    await kept(pages, "a")
    page = await kept(pages, "b")
    assert (len(pages), pages.bytes) == (2, 2 * ONE)

    page.prepared.keep_coded(b"z" * 400)
    assert (len(pages), pages.bytes) == (2, 2 * ONE + 400)
    page.prepared.keep_coded(b"z" * 900)  # there are some already
    assert (len(pages), pages.bytes) == (2, 2 * ONE + 400)
    third = await kept(pages, "c")
    assert (len(pages), pages.bytes) == (2, 2 * ONE + 400)
    assert pages.kept("a", 1) is None
    third.prepared.keep_coded(b"z" * 200)
    assert (len(pages), pages.bytes) == (1, ONE + 200)

    third.prepared.coded = None
    page.prepared.coded = None
    page.prepared.keep_coded(b"z" * 10_000)  # of a page that is not kept any more
    assert (len(pages), pages.bytes) == (1, ONE + 200)


async def test_a_page_that_outgrows_the_cache_goes() -> None:
    pages: RevisedPages[str] = RevisedPages(max_bytes=2 * ONE)
    page = await kept(pages, "a")
    page.prepared.keep_coded(b"z" * 2 * ONE)
    assert (len(pages), pages.bytes) == (0, 0)


async def test_a_page_that_is_let_go_is_freed_at_once() -> None:
    pages: RevisedPages[str] = RevisedPages(max_bytes=2 * ONE)
    page = await kept(pages, "a")
    page.prepared.keep_coded(b"z")
    gone = weakref.ref(page.prepared.grown)
    gc.disable()
    try:
        await kept(pages, "b")
        await kept(pages, "c")
        del page
        assert gone() is None
    finally:
        gc.enable()


class Feed(PublicFeed):
    async def page(self, query: PublicFeedQuery) -> EncodedPage:
        return a_page()


@pytest.mark.parametrize(("coded", "entries"), [(400, 2), (600, 1), (5 * ONE, 1)])
async def test_so_they_do_in_the_feed_for_strangers(coded: int, entries: int) -> None:
    feed = CachedPublicFeed(Feed(), ttl_seconds=60.0, max_bytes=2 * ONE + 500)
    await feed.page(PublicFeedQuery(Sort.NEW, PageRequest(1)))
    page = await feed.page(PublicFeedQuery(Sort.TOP, PageRequest(1)))
    assert feed.bytes == 2 * ONE

    page.prepared.keep_coded(b"z" * coded)

    assert feed.statistics.entries == entries
    assert feed.bytes <= 2 * ONE + 500
    assert feed.bytes == (entries * ONE if coded > 2 * ONE else entries * ONE + coded)
    assert size_of(page) == ONE + coded
