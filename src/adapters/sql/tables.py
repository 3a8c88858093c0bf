"""The tables, as declarative models. Rows, not entities: nothing is decided here, and `mapping` translates.

Names of constraints follow one convention, because adapters translate a violated constraint by its name and because
migrations must be able to drop one. Text is `utf8mb4_bin` on MySQL: nothing is ever compared by a collation's idea of
equality, what is unique is a canonical key in a binary column.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from adapters.sql.types import ASCII_TEXT, LONG_BYTES, LONG_TEXT, CanonicalKey, Digest, Id, Octets, Timestamp
from application.shared.idempotency import IDEMPOTENCY_KEY_MAX_LENGTH
from domain.identity.api_key import API_KEY_NAME_MAX_LENGTH
from domain.identity.session import MAX_EARLIER_EXCHANGES
from domain.identity.values import EMAIL_MAX_LENGTH, NAME_MAX_LENGTH, USERNAME_MAX_LENGTH
from domain.orders.values import (
    CITY_MAX_LENGTH,
    COUNTRY_MAX_LENGTH,
    PRODUCT_ID_MAX_LENGTH,
    STATE_MAX_LENGTH,
    STREET_MAX_LENGTH,
    ZIP_MAX_LENGTH,
)
from domain.webhooks.values import DESCRIPTION_MAX_LENGTH, EVENT_TYPE_MAX_LENGTH, URL_MAX_LENGTH

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
}

EMAIL_KEY_BYTES = 8 * EMAIL_MAX_LENGTH
"""Twice the characters, of four bytes each, since folding can lengthen. An index entry of InnoDB takes 3072 bytes."""
USERNAME_KEY_BYTES = 8 * USERNAME_MAX_LENGTH
NAME_KEY_LENGTH = 2 * NAME_MAX_LENGTH
"""Characters. A name is searched by its beginning, so a key that folding made longer is cut."""
NAME_KEY_BYTES = 4 * NAME_KEY_LENGTH

# What single databases are told of a table. Migrations tell them; here it is for who has one written by Alembic, since
# SQLAlchemy imports the whole dialect of each such word, which no server needs.
_MYSQL_WORDS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_MYSQL: dict[str, Any] = {"info": _MYSQL_WORDS}
# A table of small rows is its own primary-key index; elsewhere SQLite would keep the key a second time.
_SMALL_ROWS: dict[str, Any] = {"info": {**_MYSQL_WORDS, "sqlite_with_rowid": False}}
# On SQLite only INTEGER is another name for the row's own number, which a new row gets by itself.
_ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class Row(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class UserRow(Row):
    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'moderator', 'admin')", name="role"),
        CheckConstraint("status IN ('active', 'suspended')", name="status"),
        CheckConstraint("version >= 1", name="version"),
        _MYSQL,
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_MAX_LENGTH))
    email_key: Mapped[str] = mapped_column(CanonicalKey(EMAIL_KEY_BYTES), unique=True)
    email_verified: Mapped[bool]
    username: Mapped[str] = mapped_column(String(USERNAME_MAX_LENGTH))
    username_key: Mapped[str] = mapped_column(CanonicalKey(USERNAME_KEY_BYTES), unique=True)
    name: Mapped[str | None] = mapped_column(String(NAME_MAX_LENGTH))
    name_key: Mapped[str | None] = mapped_column(CanonicalKey(NAME_KEY_BYTES), index=True)
    phone: Mapped[str | None] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(255))
    # By the index the few administrators are found, and locked, without a look at everybody else.
    role: Mapped[str] = mapped_column(String(16), index=True)
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp)
    version: Mapped[int] = mapped_column(Integer)


class SessionRow(Row):
    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("(spent_hash IS NULL) = (spent_at IS NULL)", name="spent"),
        CheckConstraint("generation >= 0", name="generation"),
        CheckConstraint("version >= 1", name="version"),
        _MYSQL,
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    user_agent: Mapped[str] = mapped_column(String(255))
    address: Mapped[str] = mapped_column(String(45))
    current_hash: Mapped[bytes] = mapped_column(Digest)
    generation: Mapped[int] = mapped_column(Integer)
    spent_hash: Mapped[bytes | None] = mapped_column(Digest)
    spent_at: Mapped[datetime | None] = mapped_column(Timestamp)
    earlier_exchanges: Mapped[bytes | None] = mapped_column(Octets(8 * MAX_EARLIER_EXCHANGES))
    """Of the tokens before the spent one, eight bytes each."""
    used_generation: Mapped[int | None] = mapped_column(Integer)
    """The generation, if its access token has been used."""
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    last_used_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
    revoked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    version: Mapped[int] = mapped_column(Integer)


class RevocationRow(Row):
    """Access tokens that no longer hold. Without a foreign key: it outlives its session, as the tokens do."""

    __tablename__ = "revocations"
    __table_args__ = (_SMALL_ROWS,)

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(Id)
    generation: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Timestamp, index=True)
    """By the database's clock, which all processes share."""


class AuditRow(Row):
    """The audit trail; nothing in the program updates or deletes a row. Ids without foreign keys: it outlives them."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index(None, "actor_id", "id"), Index(None, "subject_id", "id"), _SMALL_ROWS)

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(Timestamp)
    event: Mapped[str] = mapped_column(String(64))
    actor_id: Mapped[UUID | None] = mapped_column(Id)
    subject_id: Mapped[UUID | None] = mapped_column(Id)
    address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(255))
    request_id: Mapped[str] = mapped_column(String(128))
    details: Mapped[str] = mapped_column(Text)
    """A JSON object of texts."""


class OneTimeTokenRow(Row):
    """A token that was mailed; an account may have several to verify its address."""

    __tablename__ = "one_time_tokens"
    __table_args__ = (
        CheckConstraint("purpose IN ('reset-password', 'verify-email')", name="purpose"),
        Index(None, "user_id", "purpose"),
        _MYSQL,
    )

    token_hash: Mapped[bytes] = mapped_column(Digest, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(16))
    email_key: Mapped[str] = mapped_column(CanonicalKey(EMAIL_KEY_BYTES))
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


class SecondFactorRow(Row):
    """`sealed_secret` is encrypted under a key that is not in the database; `recovery` is digests of 32 bytes each."""

    __tablename__ = "second_factors"
    __table_args__ = (
        CheckConstraint("failures >= 0", name="failures"),
        CheckConstraint("version >= 1", name="version"),
        _MYSQL,
    )

    user_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    sealed_secret: Mapped[bytes] = mapped_column(Octets(255))
    confirmed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_step: Mapped[int | None] = mapped_column(Integer)
    recovery: Mapped[bytes] = mapped_column(Octets(32 * 16))
    failures: Mapped[int] = mapped_column(Integer)
    blocked_until: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    version: Mapped[int] = mapped_column(Integer)


class ApiKeyRow(Row):
    """`scopes` is a list of words with a blank between; `last_used_at` moves by a statement of its own."""

    __tablename__ = "api_keys"
    __table_args__ = (_MYSQL,)

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(API_KEY_NAME_MAX_LENGTH))
    scopes: Mapped[str] = mapped_column(String(255))
    key_hash: Mapped[bytes] = mapped_column(Digest, unique=True)
    hint: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_used_at: Mapped[datetime | None] = mapped_column(Timestamp)


class PostRow(Row):
    """Counters, `hot` and `ranked_at` move with each vote, and are never written from an aggregate.

    A row without an author is a tombstone: a post that was deleted when it had answers. It has no text and no votes.
    """

    __tablename__ = "posts"
    __table_args__ = (
        # One author's list: the equality first, then the order. `id` carries the time of creation.
        Index(None, "author_id", "id"),
        Index(None, "author_id", "score", "id"),
        Index(None, "author_id", "hot", "id"),
        # The feed. Answers and tombstones lie apart, however many there are.
        Index(None, "listed", "id"),
        Index(None, "listed", "score", "id"),
        Index(None, "listed", "hot", "id"),
        # A thread.
        Index(None, "reply_to", "id"),
        CheckConstraint("text_bytes >= 0 AND (author_id IS NULL) = (text_bytes = 0)", name="text_bytes"),
        CheckConstraint("upvotes >= 0 AND downvotes >= 0", name="votes"),
        CheckConstraint("score = upvotes - downvotes", name="score"),
        CheckConstraint("replies >= 0", name="replies"),
        CheckConstraint("version >= 1", name="version"),
        _MYSQL,
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    author_id: Mapped[UUID | None] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"))
    reply_to: Mapped[UUID | None] = mapped_column(Id, ForeignKey("posts.id"))
    """No cascade: what has answers is not deleted, and if it were, it should be noticed."""
    replies: Mapped[int] = mapped_column(Integer, default=0)
    listed: Mapped[bool] = mapped_column(default=True)
    """Whether the feed shows it: it has an author and answers nothing."""
    hot: Mapped[int] = mapped_column(BigInteger)
    """See `domain.posts.ranking`."""
    ranked_at: Mapped[int] = mapped_column(BigInteger, default=0)
    """When votes last moved its ranks, in microseconds since 1970; 0: never."""
    text_bytes: Mapped[int] = mapped_column(Integer)
    """UTF-8; kept so that a page's budget costs no loading."""
    score: Mapped[int] = mapped_column(Integer)
    upvotes: Mapped[int] = mapped_column(Integer)
    downvotes: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp)
    version: Mapped[int] = mapped_column(Integer)
    # Last: SQLite stores a row in the order of its columns, and what follows a long text is read through all of it.
    text: Mapped[str] = mapped_column(LONG_TEXT)


class PostWordsRow(Row):
    """What a post can be found by. A table of its own: votes rewrite rows of `posts`, and would drag an index of words
    along; and FULLTEXT would add a hidden column to them.

    The index itself is the migration's, since each database has another kind: `fts_post_words`.
    """

    __tablename__ = "post_words"
    __table_args__ = (CheckConstraint("word_count >= 0", name="word_count"), _MYSQL)

    # FTS5 refers to rows by number, and VACUUM gives new ones where they are not a column.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    post_id: Mapped[UUID] = mapped_column(Id, ForeignKey("posts.id", ondelete="CASCADE"), unique=True)
    word_count: Mapped[int] = mapped_column(Integer)
    words: Mapped[str] = mapped_column(ASCII_TEXT)


def is_search_index(name: str | None) -> bool:
    """Tell whether a table, a column or an index is part of one for full-text search, of which no model speaks.

    FTS5 keeps an index in tables of its own (`fts_post_words_data` and others), PostgreSQL a column beside the words.
    """
    return name is not None and name.startswith("fts_")


class VoteRow(Row):
    __tablename__ = "votes"
    __table_args__ = (CheckConstraint("direction IN (-1, 1)", name="direction"), _SMALL_ROWS)

    user_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    post_id: Mapped[UUID] = mapped_column(Id, ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True, index=True)
    direction: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp)


class RankHistoryRow(Row):
    """Which ranks a post had from `valid_from` until `valid_until`, in microseconds since 1970.

    Without a foreign key, which would lock and index for nothing: ranks of posts that are gone are found with nothing
    to show, and everything here is purged after a while.
    """

    __tablename__ = "past_ranks"
    __table_args__ = (_SMALL_ROWS,)

    valid_until: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    post_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    valid_from: Mapped[int] = mapped_column(BigInteger)
    score: Mapped[int] = mapped_column(Integer)
    hot: Mapped[int] = mapped_column(BigInteger)


class OrderRow(Row):
    """An order outlives its account: then `user_id` and the address are NULL.

    No CHECK ties the two together: MySQL allows none on a column that ON DELETE SET NULL empties.
    """

    __tablename__ = "orders"
    __table_args__ = (
        Index(None, "user_id", "id"),
        CheckConstraint("status IN ('pending', 'confirmed', 'shipped', 'delivered', 'cancelled')", name="status"),
        CheckConstraint(
            "(street IS NULL) = (city IS NULL) AND (street IS NULL) = (state IS NULL) "
            "AND (street IS NULL) = (zip IS NULL) AND (country IS NULL OR street IS NOT NULL)",
            name="address",
        ),
        CheckConstraint("version >= 1", name="version"),
        _MYSQL,
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(Id, ForeignKey("users.id", ondelete="SET NULL"))
    street: Mapped[str | None] = mapped_column(String(STREET_MAX_LENGTH))
    city: Mapped[str | None] = mapped_column(String(CITY_MAX_LENGTH))
    state: Mapped[str | None] = mapped_column(String(STATE_MAX_LENGTH))
    zip: Mapped[str | None] = mapped_column(String(ZIP_MAX_LENGTH))
    country: Mapped[str | None] = mapped_column(String(COUNTRY_MAX_LENGTH))
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp)
    version: Mapped[int] = mapped_column(Integer)


class OrderLineRow(Row):
    """Written with its order, and never changed."""

    __tablename__ = "order_lines"
    __table_args__ = (
        UniqueConstraint("order_id", "product_id"),
        CheckConstraint("quantity BETWEEN 1 AND 1000", name="quantity"),
        _SMALL_ROWS,
    )

    order_id: Mapped[UUID] = mapped_column(Id, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    product_id: Mapped[str] = mapped_column(String(PRODUCT_ID_MAX_LENGTH))
    quantity: Mapped[int] = mapped_column(SmallInteger)


class IdempotencyKeyRow(Row):
    """What a creating request was answered, for when it is sent again; `answer` is encrypted."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (_MYSQL,)

    owner_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    # Not `key`, which is a word of MySQL's own.
    idempotency_key: Mapped[str] = mapped_column(CanonicalKey(IDEMPOTENCY_KEY_MAX_LENGTH), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp, index=True)
    answer: Mapped[bytes] = mapped_column(LONG_BYTES)


class AuthorRevisionRow(Row):
    """A number that grows with every committed write to what an author's own list shows; no row counts as 0."""

    __tablename__ = "author_revisions"
    __table_args__ = (_SMALL_ROWS,)

    author_id: Mapped[UUID] = mapped_column(Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)


class CacheFenceRow(Row):
    """A process that asks all others not to trust shared cache state until `expires_at`, by the database's clock."""

    __tablename__ = "cache_fences"
    __table_args__ = (_SMALL_ROWS,)

    process_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)


class _EventColumns:
    """An event, as it lies in the outbox, in the log and among the letters."""

    event_id: Mapped[UUID] = mapped_column(Id)
    type: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(SmallInteger)
    subject: Mapped[UUID] = mapped_column(Id)
    shard: Mapped[int] = mapped_column(SmallInteger)
    """From the subject: what must stay in order shares one, and relays share the work by it."""
    owner_id: Mapped[UUID | None] = mapped_column(Id)
    public: Mapped[bool]
    time: Mapped[datetime] = mapped_column(Timestamp)
    data: Mapped[bytes] = mapped_column(Octets(2048))


class OutboxRow(_EventColumns, Row):
    """An event that has no position yet. No index but the key: every write pays for what is here.

    Empty on SQLite, where commits stand in one line and an event goes straight to the log.
    """

    __tablename__ = "outbox"
    __table_args__ = (_MYSQL,)

    id: Mapped[int] = mapped_column(_ROW_NUMBER, primary_key=True)


class EventLogRow(_EventColumns, Row):
    """Its newest row is never purged, so that no position is given twice."""

    __tablename__ = "event_log"
    __table_args__ = (Index(None, "shard", "position"), _MYSQL)

    position: Mapped[int] = mapped_column(_ROW_NUMBER, primary_key=True, autoincrement=False)


class EventSequencerRow(Row):
    """One row: who has locked it gives positions."""

    __tablename__ = "event_sequencer"
    __table_args__ = (_SMALL_ROWS,)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)


class RelayShardRow(Row):
    """Up to which position the events of a shard were delivered, or became letters."""

    __tablename__ = "relay_shards"
    __table_args__ = (_SMALL_ROWS,)

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    handled_to: Mapped[int] = mapped_column(BigInteger)
    lease_id: Mapped[UUID | None] = mapped_column(Id)
    """Whose it is until `leased_until`: on SQLite, where the row cannot be locked without all others."""
    leased_until: Mapped[datetime | None] = mapped_column(Timestamp)


class RelayRetryRow(_EventColumns, Row):
    """An event that was refused, or that waits behind one: a copy, since the log is purged."""

    __tablename__ = "relay_letters"
    __table_args__ = (Index(None, "dead", "shard", "position"), _SMALL_ROWS)

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    dead: Mapped[bool]
    """Given up; it no longer holds up what comes after it."""
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt_at: Mapped[datetime] = mapped_column(Timestamp)
    error: Mapped[str] = mapped_column(String(500))


class WebhookEndpointRow(Row):
    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint("disabled_reason IN ('by_hand', 'gone', 'failing')", name="disabled_reason"),
        CheckConstraint("version >= 1", name="version"),
        _MYSQL,
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(String(URL_MAX_LENGTH))
    event_types: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(String(DESCRIPTION_MAX_LENGTH))
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(String(16))
    secret: Mapped[bytes] = mapped_column(Octets(255))
    previous_secret: Mapped[bytes | None] = mapped_column(Octets(255))
    previous_until: Mapped[datetime | None] = mapped_column(Timestamp)
    from_position: Mapped[int] = mapped_column(BigInteger)
    failing_since: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp)
    updated_at: Mapped[datetime] = mapped_column(Timestamp)
    version: Mapped[int] = mapped_column(Integer)


class WebhookDeliveryRow(Row):
    """No foreign key: deleting an endpoint must not wait for the deletion of a month of deliveries.

    They are found through their endpoint alone, so they are gone with it, and are erased afterwards. While somebody
    works on one, `claim` is set and `next_attempt_at` is when the claim runs out.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        Index(None, "endpoint_id", "next_attempt_at"),
        Index(None, "endpoint_id", "status", "id"),
        Index(None, "endpoint_id", "id"),
        CheckConstraint("status IN ('pending', 'delivered', 'failed')", name="status"),
        CheckConstraint("attempts >= 0", name="attempts"),
        _MYSQL,
    )

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    endpoint_id: Mapped[UUID] = mapped_column(Id)
    event_id: Mapped[UUID] = mapped_column(Id)
    event_type: Mapped[str] = mapped_column(String(EVENT_TYPE_MAX_LENGTH))
    body: Mapped[str] = mapped_column(LONG_TEXT)
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(SmallInteger)
    next_attempt_at: Mapped[datetime | None] = mapped_column(Timestamp)
    claim: Mapped[UUID | None] = mapped_column(Id)
    last_attempt_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_status_code: Mapped[int | None] = mapped_column(SmallInteger)
    last_error: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(Timestamp)


class WebhookCursorRow(Row):
    """One row: how far the event log has been handed out to webhooks."""

    __tablename__ = "webhook_cursor"
    __table_args__ = (_SMALL_ROWS,)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)


def table_of(model: type[Row]) -> Table:
    """Return the table of a model, for statements that run without the ORM's part."""
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is not mapped to a table")
    return table
