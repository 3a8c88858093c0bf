import base64
import binascii
import struct
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response, status
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, and_, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, contains_eager

from bench.baselines.fastapi_app.database import Session, WritingSession
from bench.baselines.fastapi_app.models import Post, User, Vote
from bench.baselines.fastapi_app.schemas import NewPost, NewVote, PostPage, PostPublic, VoteResult
from bench.baselines.fastapi_app.security import CurrentUser, WritingUser
from bench.data import heat

router = APIRouter(tags=["posts"])


class Sort(StrEnum):
    NEW = "new"
    TOP = "top"
    HOT = "hot"


class Page(BaseModel):
    limit: int = Field(20, ge=1, le=100)
    cursor: str | None = Field(None, max_length=200)


class FeedPage(Page):
    sort: Sort = Sort.NEW


RANKS: dict[Sort, InstrumentedAttribute[Any]] = {Sort.TOP: Post.score, Sort.HOT: Post.hot}


def encode_cursor(post: Post, sort: Sort) -> str:
    rank = 0 if sort is Sort.NEW else getattr(post, RANKS[sort].key)
    return base64.urlsafe_b64encode(struct.pack(">q", rank) + post.id.bytes).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[int, uuid.UUID]:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return struct.unpack(">q", raw[:8])[0], uuid.UUID(bytes=raw[8:])
    except (ValueError, struct.error, binascii.Error):
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "Malformed cursor") from None


def posts_seen_by(viewer: User) -> Select[Post, int]:
    """Posts with their authors and the viewer's votes, in one query."""
    return (
        select(Post, func.coalesce(Vote.direction, 0))
        .join(Post.author)
        .outerjoin(Vote, and_(Vote.post_id == Post.id, Vote.user_id == viewer.id))
        .options(contains_eager(Post.author))
    )


def public(post: Post, my_vote: int) -> PostPublic:
    shown = PostPublic.model_validate(post)
    shown.my_vote = my_vote
    return shown


async def page_of(
    session: AsyncSession, viewer: User, page: Page, *conditions: ColumnElement[bool], sort: Sort = Sort.NEW
) -> PostPage:
    """One page by keyset: what comes after the cursor, and one post more to know whether it goes on."""
    order = [Post.id] if sort is Sort.NEW else [RANKS[sort], Post.id]
    query = posts_seen_by(viewer).where(*conditions).order_by(*(column.desc() for column in order))
    # MariaDB would rather read all users and sort their posts, which takes a second.
    query = query.prefix_with("STRAIGHT_JOIN", dialect="mysql").limit(page.limit + 1)
    if page.cursor is not None:
        rank, post_id = decode_cursor(page.cursor)
        if sort is Sort.NEW:
            query = query.where(Post.id < post_id)
        else:
            query = query.where(after(RANKS[sort], rank, post_id, session))
    rows = (await session.execute(query)).all()
    shown = rows[: page.limit]
    return PostPage(
        items=[public(post, my_vote) for post, my_vote in shown],
        next_cursor=encode_cursor(shown[-1][0], sort) if len(rows) > page.limit else None,
    )


def after(
    rank: InstrumentedAttribute[Any], value: int, post_id: uuid.UUID, session: AsyncSession
) -> ColumnElement[bool]:
    """What is ranked lower. MariaDB uses no index for a comparison of rows, the others do."""
    if session.get_bind().dialect.name == "mysql":
        return and_(rank <= value, (rank < value) | (Post.id < post_id))
    return tuple_(rank, Post.id) < tuple_(literal(value, rank.type), literal(post_id, Post.id.type))


@router.post("/posts", status_code=status.HTTP_201_CREATED)
async def create_post(body: NewPost, response: Response, session: WritingSession, user: WritingUser) -> PostPublic:
    now = datetime.now(UTC)
    post = Post(
        id=uuid7(now),
        author=user,
        text=body.text,
        score=0,
        upvotes=0,
        downvotes=0,
        hot=heat(0, now),
        created_at=now,
        updated_at=now,
        version=1,
    )
    session.add(post)
    await session.commit()
    response.headers["Location"] = f"/api/v1/posts/{post.id}"
    return PostPublic.model_validate(post)


@router.get("/posts")
async def list_posts(session: Session, user: CurrentUser, page: Annotated[FeedPage, Query()]) -> PostPage:
    return await page_of(session, user, page, sort=page.sort)


@router.get("/posts/{post_id}")
async def get_post(post_id: uuid.UUID, session: Session, user: CurrentUser) -> PostPublic:
    row = (await session.execute(posts_seen_by(user).where(Post.id == post_id))).one_or_none()
    if row is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Post not found")
    return public(*row)


@router.get("/users/me/posts")
async def list_my_posts(session: Session, user: CurrentUser, page: Annotated[Page, Query()]) -> PostPage:
    return await page_of(session, user, page, Post.author_id == user.id)


@router.get("/users/{user_id}/posts")
async def list_posts_of_user(
    user_id: uuid.UUID, session: Session, user: CurrentUser, page: Annotated[Page, Query()]
) -> PostPage:
    return await page_of(session, user, page, Post.author_id == user_id)


@router.put("/posts/{post_id}/vote")
async def vote(post_id: uuid.UUID, body: NewVote, session: WritingSession, user: WritingUser) -> VoteResult:
    now = datetime.now(UTC)
    # The lock on the post puts voters in line, which is what keeps its counts exact.
    post = await session.get(Post, post_id, with_for_update=True)
    if post is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Post not found")
    known = await session.get(Vote, (user.id, post_id))
    before = known.direction if known else 0
    if body.direction != before:
        post.upvotes += (body.direction == 1) - (before == 1)
        post.downvotes += (body.direction == -1) - (before == -1)
        post.score = post.upvotes - post.downvotes
        post.hot = heat(post.score, post.created_at)
        if known is None:
            session.add(
                Vote(user_id=user.id, post_id=post_id, direction=body.direction, created_at=now, updated_at=now)
            )
        elif body.direction == 0:
            await session.delete(known)
        else:
            known.direction, known.updated_at = body.direction, now
        await session.commit()
    return VoteResult(
        post_id=post.id, direction=body.direction, score=post.score, upvotes=post.upvotes, downvotes=post.downvotes
    )


def uuid7(now: datetime) -> uuid.UUID:
    """An id that sorts by time (RFC 9562); Python brings one with 3.14."""
    milliseconds = int(now.timestamp() * 1000)
    random = uuid.uuid4().int & ((1 << 76) - 1)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | random & ~(0b11 << 62) | 0b10 << 62)
