"""What proves an identity besides the password: mailed tokens, second factors, API keys."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    # MySQL commits each table by itself: run again after a failure, the revision goes on where it stopped.
    "if_not_exists": True,
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


def upgrade() -> None:
    op.create_table(
        "one_time_tokens",
        sa.Column("user_id", _id(), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("token_hash", _digest(), nullable=False),
        sa.Column("email_key", _octets(2032), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "purpose"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_one_time_tokens_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("token_hash", name="uq_one_time_tokens_token_hash"),
        sa.CheckConstraint("purpose IN ('reset-password', 'verify-email')", name=op.f("ck_one_time_tokens_purpose")),
        **_MYSQL,
    )
    op.create_table(
        "second_factors",
        sa.Column("user_id", _id(), nullable=False),
        sa.Column("sealed_secret", _octets(255), nullable=False),
        sa.Column("confirmed_at", _moment(), nullable=True),
        sa.Column("last_step", sa.Integer(), nullable=True),
        sa.Column("recovery", _octets(512), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("blocked_until", _moment(), nullable=True),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_second_factors_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_second_factors_failures")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_second_factors_version")),
        **_MYSQL,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", _id(), nullable=False),
        sa.Column("user_id", _id(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("key_hash", _digest(), nullable=False),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=True),
        sa.Column("last_used_at", _moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.Index("ix_api_keys_user_id", "user_id"),
        **_MYSQL,
    )


def downgrade() -> None:
    for table in ("api_keys", "second_factors", "one_time_tokens"):
        op.drop_table(table, if_exists=True)
