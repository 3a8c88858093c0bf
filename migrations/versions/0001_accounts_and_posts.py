"""Accounts, sessions, posts and votes, and what keeps caches of them honest."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
_SMALL_ROWS: dict[str, Any] = {**_MYSQL, "sqlite_with_rowid": False}


def _id() -> sa.types.TypeEngine[Any]:
    return (
        sa.LargeBinary(16)
        .with_variant(mysql.BINARY(16), "mysql", "mariadb")
        .with_variant(postgresql.UUID(), "postgresql")
    )


def _moment() -> sa.types.TypeEngine[Any]:
    return (
        sa.String(27)
        .with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
        .with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    )


def _key(length: int) -> sa.types.TypeEngine[Any]:
    return sa.LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def _digest() -> sa.types.TypeEngine[Any]:
    return sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def _create_table(name: str, *items: sa.schema.SchemaItem, small_rows: bool = False) -> None:
    # MySQL commits each statement by itself: run again after a failure, this goes on where it stopped.
    resumes = op.get_bind().dialect.name == "mysql"
    op.create_table(name, *items, if_not_exists=resumes, **(_SMALL_ROWS if small_rows else _MYSQL))


def _create_index(name: str, table: str, columns: list[str]) -> None:
    # MySQL has no CREATE INDEX IF NOT EXISTS.
    if not sa.inspect(op.get_bind()).has_index(table, name):
        op.create_index(name, table, columns)


def upgrade() -> None:
    _create_table(
        "users",
        sa.Column("id", _id(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("email_key", _key(2032), nullable=False),
        sa.Column("email_verified", sa.Boolean(), nullable=False),
        sa.Column("username", sa.String(32), nullable=False),
        sa.Column("username_key", _key(256), nullable=False),
        sa.Column("name", sa.String(100), nullable=True),
        sa.Column("phone", sa.String(16), nullable=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
        sa.UniqueConstraint("username_key", name="uq_users_username_key"),
        sa.CheckConstraint("role IN ('user', 'moderator', 'admin')", name=op.f("ck_users_role")),
        sa.CheckConstraint("status IN ('active', 'suspended')", name=op.f("ck_users_status")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_users_version")),
    )
    _create_table(
        "sessions",
        sa.Column("id", _id(), nullable=False),
        sa.Column("user_id", _id(), nullable=False),
        sa.Column("user_agent", sa.String(255), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("current_hash", _digest(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("spent_hash", _digest(), nullable=True),
        sa.Column("spent_at", _moment(), nullable=True),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("last_used_at", _moment(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
        sa.Column("revoked_at", _moment(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("(spent_hash IS NULL) = (spent_at IS NULL)", name=op.f("ck_sessions_spent")),
        sa.CheckConstraint("generation >= 0", name=op.f("ck_sessions_generation")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_sessions_version")),
    )
    _create_index("ix_sessions_user_id", "sessions", ["user_id"])
    _create_table(
        "posts",
        sa.Column("id", _id(), nullable=False),
        sa.Column("author_id", _id(), nullable=False),
        sa.Column("text_bytes", sa.Integer(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("upvotes", sa.Integer(), nullable=False),
        sa.Column("downvotes", sa.Integer(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        # Last: SQLite stores a row in the order of its columns, and what follows a long text is read through it.
        sa.Column("text", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name="fk_posts_author_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("text_bytes >= 1", name=op.f("ck_posts_text_bytes")),
        sa.CheckConstraint("upvotes >= 0 AND downvotes >= 0", name=op.f("ck_posts_votes")),
        sa.CheckConstraint("score = upvotes - downvotes", name=op.f("ck_posts_score")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_posts_version")),
    )
    _create_index("ix_posts_author_id_id", "posts", ["author_id", "id"])
    _create_table(
        "votes",
        sa.Column("user_id", _id(), nullable=False),
        sa.Column("post_id", _id(), nullable=False),
        sa.Column("direction", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "post_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_votes_user_id_users", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["post_id"], ["posts.id"], name="fk_votes_post_id_posts", ondelete="CASCADE"),
        sa.CheckConstraint("direction IN (-1, 1)", name=op.f("ck_votes_direction")),
        small_rows=True,
    )
    _create_index("ix_votes_post_id", "votes", ["post_id"])
    _create_table(
        "author_revisions",
        sa.Column("author_id", _id(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("author_id"),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name="fk_author_revisions_author_id_users", ondelete="CASCADE"
        ),
        small_rows=True,
    )
    _create_table(
        "cache_fences",
        sa.Column("process_id", _id(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("process_id"),
        small_rows=True,
    )


def downgrade() -> None:
    for table in ("cache_fences", "author_revisions", "votes", "posts", "sessions", "users"):
        op.drop_table(table, if_exists=True)
