"""What is made of a page to send it is made once, and goes with the page."""

import gc
import itertools
import weakref

from application.shared.pending import settled
from application.shared.views import EncodedPage
from entrypoints.http.edge.conditional import PRIVATE, SentPages
from entrypoints.http.edge.exchange import Exchange, Response
from entrypoints.http.edge.paging import NextPage
from tests.integration.http.asgi_client import scope_of

NEXT = NextPage("<", ">")


def asked(*, codes: bool = False) -> Exchange:
    exchange = Exchange(scope_of("GET", "/", [(b"accept-encoding", b"gzip")] if codes else []))
    exchange.compress = codes
    return exchange


def a_page(size: int = 2_000) -> EncodedPage:
    return EncodedPage(b"x" * size, "tag", "cursor")


async def test_it_is_made_once() -> None:
    sent, page = SentPages(), a_page()
    plain = sent.response(asked(), page, PRIVATE, NEXT)
    coded = sent.response(asked(codes=True), page, PRIVATE, NEXT)
    assert isinstance(plain, Response)
    assert isinstance(coded, Response)
    assert plain.body is page.body
    assert len(coded.body) < len(plain.body)
    assert sent.response(asked(), page, PRIVATE, NEXT) is plain
    assert sent.response(asked(codes=True), page, PRIVATE, NEXT) is coded
    assert await settled(sent.response(asked(), settled(page), PRIVATE, NEXT)) is plain


async def test_another_query_gets_its_own_link() -> None:
    sent, page, other = SentPages(), a_page(), NextPage("<other ", ">")
    for next_page, link in itertools.product((NEXT, other), (1, 2)):
        answer = await settled(sent.response(asked(), page, PRIVATE, next_page))
        assert (b"link", f"{next_page.before}cursor>".encode()) in answer.headers, link


async def test_pages_of_one_text_are_told_apart() -> None:
    sent, page, twin = SentPages(), a_page(), a_page()
    assert await settled(sent.response(asked(), page, PRIVATE, NEXT)) is not await settled(
        sent.response(asked(), twin, PRIVATE, NEXT)
    )


async def test_a_page_that_is_dropped_is_freed_at_once_with_all_that_was_made_of_it() -> None:
    sent, page = SentPages(), a_page()
    gc.disable()
    try:
        for codes, next_page in itertools.product((False, True), (NEXT, NextPage("", ""), NEXT)):
            await settled(sent.response(asked(codes=codes), page, PRIVATE, next_page))
        assert len(sent._of) == 1
        gone = weakref.ref(page)
        del page
        assert gone() is None
        assert sent._of == {}
    finally:
        gc.enable()
