"""An account may have several mailed tokens for one purpose: those that verify its address."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLE = "one_time_tokens"
_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


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


def _octets(length: int) -> sa.types.TypeEngine[Any]:
    return sa.LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def _digest() -> sa.types.TypeEngine[Any]:
    return sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("user_id", _id(), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("token_hash", _digest(), nullable=False),
        sa.Column("email_key", _octets(2032), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
    ]


def _replace(*keys: sa.schema.SchemaItem, one_a_purpose: bool) -> None:
    """Make the table anew with these keys, and put back what was in it: a few rows, each good for a day at the most.

    MySQL commits each step by itself. What fails in between loses those rows: their mails have to be asked for again.
    """
    connection = op.get_bind()
    rows: list[dict[str, Any]] = []
    if sa.inspect(connection).has_table(_TABLE):
        table = sa.Table(_TABLE, sa.MetaData(), *_columns())
        rows = [dict(row) for row in connection.execute(sa.select(table).order_by(table.c.created_at)).mappings()]
        op.drop_table(_TABLE)
    made = op.create_table(
        _TABLE,
        *_columns(),
        *keys,
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_one_time_tokens_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("purpose IN ('reset-password', 'verify-email')", name=op.f("ck_one_time_tokens_purpose")),
        **_MYSQL,
    )
    if one_a_purpose:
        rows = list({(row["user_id"], row["purpose"]): row for row in rows}.values())
    if rows:
        connection.execute(made.insert(), rows)


def upgrade() -> None:
    _replace(
        sa.PrimaryKeyConstraint("token_hash"),
        sa.Index("ix_one_time_tokens_user_id_purpose", "user_id", "purpose"),
        sa.Index("ix_one_time_tokens_expires_at", "expires_at"),
        one_a_purpose=False,
    )


def downgrade() -> None:
    _replace(
        sa.PrimaryKeyConstraint("user_id", "purpose"),
        sa.UniqueConstraint("token_hash", name="uq_one_time_tokens_token_hash"),
        one_a_purpose=True,
    )
