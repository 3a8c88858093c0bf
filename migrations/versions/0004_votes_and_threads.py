"""Ranks that votes move, the ranks of the last hour, and threads with tombstones."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

from domain.posts.ranking import hot_bonus

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
_INDEXES = {
    "ix_posts_author_id_score_id": ["author_id", "score", "id"],
    "ix_posts_author_id_hot_id": ["author_id", "hot", "id"],
    "ix_posts_listed_id": ["listed", "id"],
    "ix_posts_listed_score_id": ["listed", "score", "id"],
    "ix_posts_listed_hot_id": ["listed", "hot", "id"],
    "ix_posts_reply_to_id": ["reply_to", "id"],
}
_FOREIGN_KEY = "fk_posts_reply_to_posts"
_TEXT_BYTES = "text_bytes >= 0 AND (author_id IS NULL) = (text_bytes = 0)"
_MILLISECONDS = {
    "sqlite": "CAST(strftime('%s', created_at) AS INTEGER) * 1000 + CAST(substr(created_at, 21, 3) AS INTEGER)",
    "postgresql": "CAST(floor(extract(epoch FROM created_at) * 1000) AS bigint)",
    "mysql": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) DIV 1000",
}
"""The time of creation in whole milliseconds since 1970."""


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


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.create_table(
        "past_ranks",
        sa.Column("valid_until", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("post_id", _id(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("hot", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("valid_until", "post_id"),
        if_not_exists=True,
        sqlite_with_rowid=False,
        **_MYSQL,
    )
    if dialect == "sqlite":
        _copy(with_threads=True)
    else:
        _change(dialect)
    for name, columns in _INDEXES.items():
        if not sa.inspect(op.get_bind()).has_index("posts", name):
            op.create_index(name, "posts", columns)


def _change(dialect: str) -> None:
    """Change the table in place. On MySQL each step is skipped that was made by a migration which failed later."""
    inspector = sa.inspect(op.get_bind())
    present = {column["name"] for column in inspector.get_columns("posts")}
    for column in (
        sa.Column("reply_to", _id(), nullable=True),
        sa.Column("replies", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("listed", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("hot", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("ranked_at", sa.BigInteger(), nullable=False, server_default="0"),
    ):
        if column.name not in present:
            op.add_column("posts", column)
    _fill_hot(dialect)
    for name in ("replies", "listed", "hot", "ranked_at"):
        types: dict[str, type[sa.types.TypeEngine[Any]]] = {"replies": sa.Integer, "listed": sa.Boolean}
        existing = types.get(name, sa.BigInteger)
        op.alter_column("posts", name, server_default=None, existing_type=existing, existing_nullable=False)
    _set_author(nullable=True, check=_TEXT_BYTES)
    if "ck_posts_replies" not in _checks():
        op.create_check_constraint(op.f("ck_posts_replies"), "posts", "replies >= 0")
    if not [key for key in inspector.get_foreign_keys("posts") if key["name"] == _FOREIGN_KEY]:
        # MySQL makes an index of its own for a foreign key that finds none, so ours comes first.
        if not inspector.has_index("posts", "ix_posts_reply_to_id"):
            op.create_index("ix_posts_reply_to_id", "posts", ["reply_to", "id"])
        op.create_foreign_key(_FOREIGN_KEY, "posts", "posts", ["reply_to"], ["id"])


def _fill_hot(dialect: str) -> None:
    """Rank what is there, by time of creation and score, as `hot_rank` does."""
    op.execute(f"UPDATE posts SET hot = {_MILLISECONDS[dialect]}")  # noqa: S608 - no input
    connection = op.get_bind()
    posts = sa.table("posts", sa.column("score", sa.Integer), sa.column("hot", sa.BigInteger))
    for score in connection.scalars(sa.select(posts.c.score).where(posts.c.score != 0).distinct()).all():
        raised = posts.update().where(posts.c.score == score).values(hot=posts.c.hot + hot_bonus(score))
        connection.execute(raised)


def _checks() -> set[str]:
    return {str(check["name"]) for check in sa.inspect(op.get_bind()).get_check_constraints("posts")}


def _set_author(*, nullable: bool, check: str) -> None:
    if "ck_posts_text_bytes" in _checks():
        op.drop_constraint(op.f("ck_posts_text_bytes"), "posts", type_="check")
    op.alter_column("posts", "author_id", existing_type=_id(), nullable=nullable)
    op.create_check_constraint(op.f("ck_posts_text_bytes"), "posts", check)


def _table(*, with_threads: bool) -> sa.Table:
    """Return the table as it is on SQLite with this revision, or before it."""
    own: list[Any] = []
    if with_threads:
        own = [
            sa.Column("reply_to", _id(), nullable=True),
            sa.Column("replies", sa.Integer(), nullable=False),
            sa.Column("listed", sa.Boolean(), nullable=False),
            sa.Column("hot", sa.BigInteger(), nullable=False),
            sa.Column("ranked_at", sa.BigInteger(), nullable=False),
            sa.ForeignKeyConstraint(["reply_to"], ["posts.id"], name=_FOREIGN_KEY),
            sa.CheckConstraint("replies >= 0", name="ck_posts_replies"),
        ]
    metadata = sa.MetaData()
    sa.Table("users", metadata, sa.Column("id", _id(), primary_key=True))
    return sa.Table(
        "posts",
        metadata,
        sa.Column("id", _id(), nullable=False),
        sa.Column("author_id", _id(), nullable=with_threads),
        *[item for item in own if isinstance(item, sa.Column)],
        sa.Column("text_bytes", sa.Integer(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("upvotes", sa.Integer(), nullable=False),
        sa.Column("downvotes", sa.Integer(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        # Last: SQLite stores a row in the order of its columns, and what follows a long text is read through it.
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name="fk_posts_author_id_users", ondelete="CASCADE"),
        *[item for item in own if not isinstance(item, sa.Column)],
        sa.CheckConstraint(_TEXT_BYTES if with_threads else "text_bytes >= 1", name="ck_posts_text_bytes"),
        sa.CheckConstraint("upvotes >= 0 AND downvotes >= 0", name="ck_posts_votes"),
        sa.CheckConstraint("score = upvotes - downvotes", name="ck_posts_score"),
        sa.CheckConstraint("version >= 1", name="ck_posts_version"),
    )


def _copy(*, with_threads: bool) -> None:
    """Change the table on SQLite: make the new one, fill it, and put it in the place of the old one."""
    table = _table(with_threads=with_threads)
    common = ", ".join(column.name for column in _table(with_threads=False).columns)
    more, values = "", ""
    if with_threads:
        more = ", replies, listed, hot, ranked_at"
        values = f", 0, 1, {_MILLISECONDS['sqlite']}, 0"
    # What others refer to as `posts` stays `posts`: renaming the old one would take their references along.
    ddl = str(sa.schema.CreateTable(table).compile(op.get_bind()))
    op.execute(ddl.replace("CREATE TABLE posts (", "CREATE TABLE posts_new (", 1))
    op.execute(f"INSERT INTO posts_new ({common}{more}) SELECT {common}{values} FROM posts")  # noqa: S608 - no input
    op.execute("DROP TABLE posts")
    op.execute("ALTER TABLE posts_new RENAME TO posts")
    op.create_index("ix_posts_author_id_id", "posts", ["author_id", "id"])
    if with_threads:
        connection = op.get_bind()
        for score in connection.scalars(sa.select(table.c.score).where(table.c.score != 0).distinct()).all():
            connection.execute(table.update().where(table.c.score == score).values(hot=table.c.hot + hot_bonus(score)))


def downgrade() -> None:
    """Go back to posts without threads: tombstones go, and answers become posts like any other."""
    dialect = op.get_bind().dialect.name
    if dialect == "sqlite":
        op.execute("UPDATE posts SET reply_to = NULL")
        op.execute("DELETE FROM posts WHERE author_id IS NULL")
        for name in _INDEXES:
            op.drop_index(name, "posts")
        op.drop_index("ix_posts_author_id_id", "posts")
        _copy(with_threads=False)
    else:
        inspector = sa.inspect(op.get_bind())
        if [key for key in inspector.get_foreign_keys("posts") if key["name"] == _FOREIGN_KEY]:
            op.drop_constraint(_FOREIGN_KEY, "posts", type_="foreignkey")
        if "author_id" in {c["name"] for c in inspector.get_columns("posts") if c["nullable"]}:
            op.execute("DELETE FROM posts WHERE author_id IS NULL")
        for name in _INDEXES:
            if inspector.has_index("posts", name):
                op.drop_index(name, "posts")
        _set_author(nullable=False, check="text_bytes >= 1")
        if "ck_posts_replies" in _checks():
            op.drop_constraint(op.f("ck_posts_replies"), "posts", type_="check")
        present = {column["name"] for column in inspector.get_columns("posts")}
        for name in ("ranked_at", "hot", "listed", "replies", "reply_to"):
            if name in present:
                op.drop_column("posts", name)
    op.drop_table("past_ranks", if_exists=True)
