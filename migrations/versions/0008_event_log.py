"""The event log: events as they were committed, in the order of their positions, and what a relay knows of them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    # MySQL commits each table by itself: run again after a failure, the revision goes on where it stopped.
    "if_not_exists": True,
}


def _number() -> sa.types.TypeEngine[Any]:
    # On SQLite only INTEGER is another name for the row's own number.
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


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


def _data() -> sa.types.TypeEngine[Any]:
    return (
        sa.LargeBinary(2048)
        .with_variant(mysql.VARBINARY(2048), "mysql", "mariadb")
        .with_variant(postgresql.BYTEA(), "postgresql")
    )


def _event() -> list[sa.Column[Any]]:
    return [
        sa.Column("event_id", _id(), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("subject", _id(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("owner_id", _id(), nullable=True),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("time", _moment(), nullable=False),
        sa.Column("data", _data(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _number(), nullable=False, autoincrement=True),
        *_event(),
        sa.PrimaryKeyConstraint("id"),
        **_MYSQL,
    )
    op.create_table(
        "event_log",
        sa.Column("position", _number(), nullable=False, autoincrement=False),
        *_event(),
        sa.PrimaryKeyConstraint("position"),
        **_MYSQL,
    )
    if not sa.inspect(op.get_bind()).has_index("event_log", "ix_event_log_shard_position"):
        op.create_index("ix_event_log_shard_position", "event_log", ["shard", "position"])
    op.create_table(
        "event_sequencer",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
        **_MYSQL,
    )
    op.create_table(
        "relay_shards",
        sa.Column("shard", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("handled_to", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", _id(), nullable=True),
        sa.Column("leased_until", _moment(), nullable=True),
        sa.PrimaryKeyConstraint("shard"),
        sqlite_with_rowid=False,
        **_MYSQL,
    )
    op.create_table(
        "relay_letters",
        sa.Column("position", sa.BigInteger(), nullable=False, autoincrement=False),
        *_event(),
        sa.Column("dead", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", _moment(), nullable=False),
        sa.Column("error", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sqlite_with_rowid=False,
        **_MYSQL,
    )
    if not sa.inspect(op.get_bind()).has_index("relay_letters", "ix_relay_letters_dead_shard_position"):
        op.create_index("ix_relay_letters_dead_shard_position", "relay_letters", ["dead", "shard", "position"])


def downgrade() -> None:
    for table in ("relay_letters", "relay_shards", "event_sequencer", "event_log", "outbox"):
        op.drop_table(table, if_exists=True)
