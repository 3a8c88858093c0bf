"""What posts can be found by, and each database's own full-text index over it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

from domain.posts.search import SearchableText

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    # MySQL commits each table by itself: run again after a failure, the revision goes on where it stopped.
    "if_not_exists": True,
}
_BATCH = 100
"""Posts, which may have a megabyte each."""

_SQLITE = (
    # The text stays in the table. The order of words is looked up there too, so the index keeps no positions.
    """CREATE VIRTUAL TABLE fts_post_words USING fts5(
        words, content='post_words', content_rowid='id', tokenize='ascii', detail='none', columnsize=0
    )""",
    """CREATE TRIGGER fts_post_words_added AFTER INSERT ON post_words BEGIN
        INSERT INTO fts_post_words (rowid, words) VALUES (new.id, new.words);
    END""",
    """CREATE TRIGGER fts_post_words_removed AFTER DELETE ON post_words BEGIN
        INSERT INTO fts_post_words (fts_post_words, rowid, words) VALUES ('delete', old.id, old.words);
    END""",
    """CREATE TRIGGER fts_post_words_changed AFTER UPDATE OF words ON post_words BEGIN
        INSERT INTO fts_post_words (fts_post_words, rowid, words) VALUES ('delete', old.id, old.words);
        INSERT INTO fts_post_words (rowid, words) VALUES (new.id, new.words);
    END""",
)


def _id() -> sa.types.TypeEngine[Any]:
    return (
        sa.LargeBinary(16)
        .with_variant(mysql.BINARY(16), "mysql", "mariadb")
        .with_variant(postgresql.UUID(as_uuid=False), "postgresql")
    )


def _words() -> sa.types.TypeEngine[Any]:
    return sa.Text().with_variant(mysql.MEDIUMTEXT(charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "post_words",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("post_id", _id(), nullable=False),
        sa.Column("word_count", sa.Integer(), nullable=False),
        sa.Column("words", _words(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["post_id"], ["posts.id"], name="fk_post_words_post_id_posts", ondelete="CASCADE"),
        sa.UniqueConstraint("post_id", name="uq_post_words_post_id"),
        sa.CheckConstraint("word_count >= 0", name=op.f("ck_post_words_word_count")),
        **_MYSQL,
    )
    match op.get_bind().dialect.name:
        case "sqlite":
            for statement in _SQLITE:
                op.execute(statement)
            _fill()
        case "postgresql":
            # Stored: an index over the expression alone works as well, but the planner takes computing the expression
            # for cheap, and computes it for every row rather than use the index. Two blanks stand between two words.
            op.execute(
                "ALTER TABLE post_words ADD COLUMN fts_words tsvector "
                "GENERATED ALWAYS AS (array_to_tsvector(string_to_array(btrim(words), '  '))) STORED"
            )
            _fill()
            op.execute("CREATE INDEX fts_post_words ON post_words USING gin (fts_words)")
        case _:
            _fill()
            if not sa.inspect(op.get_bind()).has_index("post_words", "fts_post_words"):
                op.create_index("fts_post_words", "post_words", ["words"], mysql_prefix="FULLTEXT")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_table("fts_post_words", if_exists=True)
    op.drop_table("post_words", if_exists=True)


def _fill() -> None:
    """Find the words of the posts that are there already: no database finds the same ones."""
    posts = sa.table(
        "posts", sa.column("id", _id()), sa.column("text_bytes", sa.Integer()), sa.column("text", sa.Text())
    )
    words = sa.table(
        "post_words",
        sa.column("post_id", _id()),
        sa.column("word_count", sa.Integer()),
        sa.column("words", sa.Text()),
    )
    some = (
        sa.select(posts.c.id, posts.c.text)
        # Tombstones have no text.
        .where(posts.c.text_bytes > 0, ~sa.exists().where(words.c.post_id == posts.c.id))
        .order_by(posts.c.id)
        .limit(sa.bindparam("batch", type_=sa.Integer()))
    )
    later = some.where(posts.c.id > sa.bindparam("after", type_=_id()))
    connection = op.get_bind()
    rows = connection.execute(some, {"batch": _BATCH}).all()
    while rows:
        found = [(id, SearchableText.of(text)) for id, text in rows]
        connection.execute(
            sa.insert(words), [{"post_id": id, "word_count": each.count, "words": each.words} for id, each in found]
        )
        rows = connection.execute(later, {"batch": _BATCH, "after": rows[-1][0]}).all()
