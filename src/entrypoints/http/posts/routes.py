"""The routes of posts."""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from application.posts.cast_vote import CastVote
from application.posts.delete_post import DeletePost, DeletePostCommand
from application.posts.edit_post import EditPost
from application.posts.get_post import GetPost, GetPostQuery
from application.posts.list_author_posts import ListAuthorPosts, ListAuthorPostsQuery
from application.posts.list_feed import ListFeed, ListFeedQuery
from application.posts.list_my_posts import ListMyPosts, ListMyPostsQuery
from application.posts.list_replies import ListReplies, ListRepliesQuery
from application.posts.ports import Period
from application.posts.publish_post import PublishPost
from application.posts.search import SearchCriteria
from application.posts.search_posts import SearchPosts, SearchPostsQuery
from application.posts.use_cases import PostsUseCases
from application.posts.views import PostPageView, PostView, VoteView, encoded_page
from application.shared.errors import TransientFailure
from application.shared.paging import PageRequest
from application.shared.threads import INLINE_THREADS, Threads
from application.shared.views import EncodedPage
from domain.posts.errors import AuthorGone, AuthorNotFound, NotYourPost, PostChanged, PostNotFound, ReplyTargetGone
from domain.posts.ranking import Sort
from domain.posts.search import QUERY_MAX_LENGTH, QUERY_MAX_PHRASES, SearchQuery
from domain.posts.values import PostText
from domain.shared.actor import Actor, Scope
from domain.shared.ids import PostId, UserId
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.conditional import (
    PER_VIEWER,
    PRIVATE,
    SentPages,
    expected_version,
    representation,
    resource_tag,
)
from entrypoints.http.edge.exchange import (
    JSON_TYPE,
    Exchange,
    Headers,
    Response,
    no_content,
)
from entrypoints.http.edge.idempotency import IdempotentCreation
from entrypoints.http.edge.json_body import ON_LOOP_BYTES, collect, decode, decoded
from entrypoints.http.edge.operation import PAGE, Auth, Operation, Parameter, id_parameter, path_parameter
from entrypoints.http.edge.paging import NextPage, Query, path_id, refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.edge.timestamps import TIMESTAMP_MAX_LENGTH
from entrypoints.http.posts.schemas import CastVoteBody, EditPostBody, PublishPostBody

_POST_EXAMPLE: Final[dict[str, object]] = {
    "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "author": {"id": "019aa1b2-0000-7e5f-8a6b-7c8d9e0f1a2b", "username": "alice", "name": "Alice Liddell"},
    "text": "Hello, world.",
    "score": 0,
    "upvotes": 0,
    "downvotes": 0,
    "my_vote": 0,
    "created_at": "2026-11-21T09:30:00.000000Z",
    "updated_at": "2026-11-21T09:30:00.000000Z",
    "version": 1,
    "reply_to": None,
    "replies": 0,
    "deleted": False,
}
_PAGE_EXAMPLE: Final[dict[str, object]] = {"items": [_POST_EXAMPLE], "next_cursor": None}

_POST_ID: Final = path_parameter("post_id", "The post.")


def _timestamp_parameter(name: str, description: str) -> Parameter:
    return Parameter(
        name,
        "query",
        f"{description} RFC 3339, with an offset; what is finer than a microsecond is rounded up.",
        {"type": "string", "format": "date-time", "maxLength": TIMESTAMP_MAX_LENGTH},
        "2026-11-21T00:00:00Z",
    )


PUBLISH: Final = Operation(
    id="publishPost",
    summary="Publish a post",
    tag="posts",
    describes=PublishPost,
    auth=Auth.REQUIRED,
    scope=Scope.POSTS_WRITE,
    body=PublishPostBody,
    body_example={"text": "Hello, world."},
    status=201,
    answer=PostView,
    answer_description="The post.",
    answer_example=_POST_EXAMPLE,
    headers=("Location", "ETag", "Cache-Control", "Vary"),
    idempotent=True,
    raises=(AuthorGone, ReplyTargetGone, TransientFailure),
)
FEED: Final = Operation(
    id="listPosts",
    summary="List posts",
    tag="posts",
    describes=ListFeed,
    auth=Auth.OPTIONAL,
    scope=Scope.POSTS_READ,
    parameters=(
        *PAGE,
        Parameter(
            "sort",
            "query",
            "`new`: the newest first. `top`: the highest score first. `hot`: by score and age, where ten votes weigh "
            "as much as 12.5 hours.",
            {"type": "string", "enum": [sort.value for sort in Sort], "default": Sort.NEW.value},
        ),
        Parameter(
            "q",
            "query",
            f"Search instead of listing. {' '.join((SearchPosts.__doc__ or '').split())} At most {QUERY_MAX_PHRASES} "
            "words or phrases; a letter of a script without spaces counts as a word, and so does an emoji. Answers to "
            "other posts are found too. No `sort` goes with it but the default.",
            {"type": "string", "minLength": 1, "maxLength": QUERY_MAX_LENGTH},
            'harbour "at dawn"',
        ),
        _timestamp_parameter("since", "Only posts published then or later."),
        _timestamp_parameter("until", "Only posts published before."),
        id_parameter("author", "Only this author's posts, answers included."),
    ),
    answer=PostPageView,
    answer_description="A page of posts.",
    answer_example=_PAGE_EXAMPLE,
    headers=("Link", "Vary"),
    cacheable=True,
)
READ: Final = Operation(
    id="getPost",
    summary="Read a post",
    tag="posts",
    describes=GetPost,
    auth=Auth.OPTIONAL,
    scope=Scope.POSTS_READ,
    parameters=(_POST_ID,),
    answer=PostView,
    answer_description="The post.",
    answer_example=_POST_EXAMPLE,
    headers=("Vary",),
    cacheable=True,
    raises=(PostNotFound,),
)
EDIT: Final = Operation(
    id="editPost",
    summary="Edit a post",
    tag="posts",
    describes=EditPost,
    auth=Auth.REQUIRED,
    scope=Scope.POSTS_WRITE,
    parameters=(_POST_ID,),
    body=EditPostBody,
    body_example={"text": "Hello again, world."},
    answer=PostView,
    answer_description="The post as it is now.",
    answer_example={**_POST_EXAMPLE, "text": "Hello again, world.", "version": 2},
    headers=("ETag", "Cache-Control", "Vary"),
    takes_if_match=True,
    raises=(PostNotFound, NotYourPost, PostChanged, TransientFailure),
)
DELETE: Final = Operation(
    id="deletePost",
    summary="Delete a post",
    tag="posts",
    describes=DeletePost,
    auth=Auth.REQUIRED,
    scope=Scope.POSTS_WRITE,
    parameters=(_POST_ID,),
    status=204,
    answer_description="The post is gone.",
    takes_if_match=True,
    raises=(PostNotFound, NotYourPost, PostChanged, TransientFailure),
)
VOTE: Final = Operation(
    id="voteOnPost",
    summary="Vote on a post",
    tag="posts",
    describes=CastVote,
    auth=Auth.REQUIRED,
    scope=Scope.POSTS_WRITE,
    parameters=(_POST_ID,),
    body=CastVoteBody,
    body_example={"dir": 1},
    answer=VoteView,
    answer_description="The vote, and what all votes on the post come to.",
    answer_example={"post_id": _POST_EXAMPLE["id"], "dir": 1, "score": 3, "upvotes": 4, "downvotes": 1},
    headers=("Cache-Control", "Vary"),
    takes_if_match=True,
    raises=(PostNotFound, PostChanged, AuthorGone, TransientFailure),
)
REPLIES: Final = Operation(
    id="listReplies",
    summary="List the answers to a post",
    tag="posts",
    describes=ListReplies,
    auth=Auth.OPTIONAL,
    scope=Scope.POSTS_READ,
    parameters=(_POST_ID, *PAGE),
    answer=PostPageView,
    answer_description="A page of answers.",
    answer_example={
        "items": [
            {**_POST_EXAMPLE, "id": "019aa1b2-d4d4-7e5f-8a6b-7c8d9e0f1a2b", "reply_to": _POST_EXAMPLE["id"]},
            {
                **_POST_EXAMPLE,
                "id": "019aa1b2-e5e5-7e5f-8a6b-7c8d9e0f1a2b",
                "author": None,
                "text": None,
                "reply_to": _POST_EXAMPLE["id"],
                "replies": 2,
                "deleted": True,
            },
        ],
        "next_cursor": None,
    },
    headers=("Link", "Vary"),
    cacheable=True,
    raises=(PostNotFound,),
)
MINE: Final = Operation(
    id="listMyPosts",
    summary="List your own posts",
    tag="posts",
    describes=ListMyPosts,
    auth=Auth.REQUIRED,
    scope=Scope.POSTS_READ,
    parameters=PAGE,
    answer=PostPageView,
    answer_description="A page of your posts.",
    answer_example=_PAGE_EXAMPLE,
    headers=("Link", "Vary"),
    cacheable=True,
)
BY_AUTHOR: Final = Operation(
    id="listPostsOfUser",
    summary="List one author's posts",
    tag="posts",
    describes=ListAuthorPosts,
    auth=Auth.OPTIONAL,
    scope=Scope.POSTS_READ,
    parameters=(path_parameter("user_id", "The author."), *PAGE),
    answer=PostPageView,
    answer_description="A page of the author's posts.",
    answer_example=_PAGE_EXAMPLE,
    headers=("Link", "Vary"),
    cacheable=True,
    raises=(AuthorNotFound,),
)

B = TypeVar("B", PublishPostBody, EditPostBody)

_PAGE_PARAMETERS = frozenset({"limit", "cursor"})
_FEED_PARAMETERS = _PAGE_PARAMETERS | {"author", "sort", "since", "until", "q"}
_SORTS = frozenset(Sort)
_encoder = msgspec.json.Encoder()

_REMEMBERED_QUERIES: Final = 256
"""Query strings of each kind, of 8 KiB at the most. Callers ask the same few, and what one says never changes."""


@lru_cache(maxsize=_REMEMBERED_QUERIES)
def _read_page_query(raw: bytes, path: str) -> tuple[PageRequest, NextPage]:
    """Read the query string of a plain list at `path`. Raises `Invalid`, which is not remembered."""
    query = Query(raw, _PAGE_PARAMETERS)
    wanted = query.page()
    query.check()
    return wanted, query.next_page(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FeedQuery:
    page: PageRequest
    author: UserId | None
    sort: Sort
    period: Period
    search: SearchQuery | None
    next_page: NextPage


@lru_cache(maxsize=_REMEMBERED_QUERIES)
def _read_feed_query(raw: bytes, path: str) -> _FeedQuery:
    """Read the query string of the feed. Raises `Invalid`, which is not remembered."""
    query = Query(raw, _FEED_PARAMETERS)
    page, author = query.page(), query.id("author")
    asked = _FeedQuery(
        page=page,
        author=None if author is None else UserId(author),
        sort=Sort(query.choice("sort", _SORTS) or Sort.NEW),
        period=Period(query.timestamp("since"), query.timestamp("until")),
        search=query.parsed("q", SearchQuery.parse),
        next_page=query.next_page(path),
    )
    query.excludes("q", "sort", default=Sort.NEW)
    query.check()
    return asked


class PostsRoutes:
    """Handlers and the table of them. Each reads the request, runs one use case, and writes what came of it."""

    def __init__(
        self,
        use: PostsUseCases,
        auth: Authenticator,
        creations: IdempotentCreation,
        threads: Threads = INLINE_THREADS,
        *,
        base: str,
    ) -> None:
        self._use = use
        self._auth = auth
        self._creations = creations
        self._threads = threads
        self._base = base
        self._posts = f"{base}/posts"
        self._my_posts = f"{base}/users/me/posts"
        self._sent = SentPages()

    def handlers(self) -> list[Registration]:
        one = f"{self._posts}/{{post_id:str}}"
        return [
            endpoint("POST", self._posts, PUBLISH)(self.publish_post),
            endpoint("GET", self._posts, FEED)(self.list_posts),
            endpoint("GET", one, READ)(self.get_post),
            endpoint("PATCH", one, EDIT)(self.edit_post),
            endpoint("DELETE", one, DELETE)(self.delete_post),
            endpoint("PUT", f"{one}/vote", VOTE)(self.cast_vote),
            endpoint("GET", f"{one}/replies", REPLIES)(self.list_replies),
            endpoint("GET", self._my_posts, MINE)(self.list_my_posts),
            endpoint("GET", f"{self._base}/users/{{user_id:str}}/posts", BY_AUTHOR)(self.list_author_posts),
        ]

    async def publish_post(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, PUBLISH.scope)
        refuse_parameters(exchange.query)
        raw = await collect(exchange)
        text = None
        if len(raw) <= ON_LOOP_BYTES:
            body = decode(raw, PublishPostBody)
        else:
            body, text = await self._decoded(raw, PublishPostBody)
        return await self._creations.answer(
            exchange,
            actor,
            raw,
            lambda once: self._use.publish_post.execute(body.command(actor, once, text)),
            lambda post: _written(201, post, (b"location", f"{self._posts}/{post.id}".encode())),
        )

    async def _decoded(self, raw: bytes, schema: type[B]) -> tuple[B, PostText]:
        """Decode a body of any size, and make the words of its text besides, so that no transaction waits for them."""

        def work() -> tuple[B, PostText]:
            body = decode(raw, schema)
            return body, PostText.parse(body.text).indexed()

        return work() if len(raw) <= ON_LOOP_BYTES else await self._threads.run(work)

    def list_posts(self, exchange: Exchange) -> Response | Awaitable[Response]:
        viewer = _viewer(self._auth.caller(exchange, FEED.scope))
        asked = _read_feed_query(exchange.query, self._posts)
        if asked.search is not None:
            criteria = SearchCriteria(query=asked.search, author=asked.author, period=asked.period)
            return self._search(exchange, SearchPostsQuery(asked.page, viewer, criteria), asked.next_page)
        feed = ListFeedQuery(asked.page, viewer, asked.author, asked.sort, asked.period)
        return self._sent.response(exchange, self._use.read_feed.execute(feed), PER_VIEWER, asked.next_page)

    async def _search(self, exchange: Exchange, query: SearchPostsQuery, next_page: NextPage) -> Response:
        page = await encoded_page(await self._use.search_posts.execute(query), self._threads)
        return _page(exchange, page, PER_VIEWER, next_page)

    async def get_post(self, exchange: Exchange) -> Response:
        viewer = _viewer(self._auth.caller(exchange, READ.scope))
        refuse_parameters(exchange.query)
        post_id = PostId(path_id(exchange.params, "post_id"))
        post = await self._use.get_post.execute(GetPostQuery(post_id, viewer))
        body = _encoder.encode(post)
        return representation(exchange, body, resource_tag(post.version, body), PER_VIEWER)

    async def edit_post(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, EDIT.scope)
        refuse_parameters(exchange.query)
        post_id = PostId(path_id(exchange.params, "post_id"))
        raw = await collect(exchange)
        body, text = await self._decoded(raw, EditPostBody)
        if_version = await expected_version(exchange, lambda: self._version_of(post_id))
        return _written(200, await self._use.edit_post.execute(body.command(actor, post_id, if_version, text)))

    async def delete_post(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, DELETE.scope)
        refuse_parameters(exchange.query)
        post_id = PostId(path_id(exchange.params, "post_id"))
        if_version = await expected_version(exchange, lambda: self._version_of(post_id))
        await self._use.delete_post.execute(DeletePostCommand(actor, post_id, if_version))
        return no_content()

    async def cast_vote(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, VOTE.scope)
        refuse_parameters(exchange.query)
        post_id = PostId(path_id(exchange.params, "post_id"))
        raw = await collect(exchange)
        body = decode(raw, CastVoteBody) if len(raw) <= ON_LOOP_BYTES else await decoded(raw, CastVoteBody)
        if_version = await expected_version(exchange, lambda: self._version_of(post_id))
        vote = await self._use.cast_vote.execute(body.command(actor, post_id, if_version))
        return Response(200, _encoder.encode(vote), (JSON_TYPE, *PRIVATE))

    async def list_replies(self, exchange: Exchange) -> Response:
        viewer = _viewer(self._auth.caller(exchange, REPLIES.scope))
        query = Query(exchange.query, _PAGE_PARAMETERS)
        post_id = PostId(query.path_id(exchange.params, "post_id"))
        wanted = query.page()
        query.check()
        found = await self._use.list_replies.execute(ListRepliesQuery(post_id, wanted, viewer))
        page = await encoded_page(found, self._threads)
        return _page(exchange, page, PER_VIEWER, query.next_page(f"{self._posts}/{post_id}/replies"))

    def list_my_posts(self, exchange: Exchange) -> Response | Awaitable[Response]:
        actor = self._auth.signed_in(exchange, MINE.scope)
        wanted, next_page = _read_page_query(exchange.query, self._my_posts)
        page = self._use.list_my_posts.execute(ListMyPostsQuery(actor, wanted))
        return self._sent.response(exchange, page, PRIVATE, next_page)

    async def list_author_posts(self, exchange: Exchange) -> Response:
        viewer = _viewer(self._auth.caller(exchange, BY_AUTHOR.scope))
        query = Query(exchange.query, _PAGE_PARAMETERS)
        author = query.path_id(exchange.params, "user_id")
        wanted = query.page()
        query.check()
        found = await self._use.list_author_posts.execute(ListAuthorPostsQuery(UserId(author), wanted, viewer))
        page = await encoded_page(found, self._threads)
        return _page(exchange, page, PER_VIEWER, query.next_page(f"{self._base}/users/{author}/posts"))

    async def _version_of(self, post_id: PostId) -> int:
        return (await self._use.get_post.execute(GetPostQuery(post_id, None))).version


def _viewer(actor: Actor | None) -> UserId | None:
    return None if actor is None else actor.user_id


def _page(exchange: Exchange, page: EncodedPage, headers: Headers, next_page: NextPage) -> Response:
    """Answer with a page that no cache keeps."""
    return representation(exchange, page.body, f'"{page.etag}"', headers + next_page.link(page.next_cursor))


def _written(status: int, post: PostView, *headers: tuple[bytes, bytes]) -> Response:
    """Answer a write with the post as it is now, and the validator to decide the next one on."""
    encoded = _encoder.encode(post)
    tag = resource_tag(post.version, encoded)
    return Response(status, encoded, (JSON_TYPE, *PRIVATE, (b"etag", tag.encode()), *headers))
