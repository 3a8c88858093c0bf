"""Idempotency keys: what a creating request was answered, for when it is sent again."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: str = "0007"
down_revision: str | None = "0006"
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


def _key() -> sa.types.TypeEngine[Any]:
    return (
        sa.LargeBinary(255)
        .with_variant(mysql.VARBINARY(255), "mysql", "mariadb")
        .with_variant(postgresql.BYTEA(), "postgresql")
    )


def _moment() -> sa.types.TypeEngine[Any]:
    return (
        sa.String(27)
        .with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
        .with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    )


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", _id(), nullable=False),
        sa.Column("idempotency_key", _key(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("answer", sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "idempotency_key"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_idempotency_keys_owner_id_users", ondelete="CASCADE"
        ),
        **_MYSQL,
    )
    if not sa.inspect(op.get_bind()).has_index("idempotency_keys", "ix_idempotency_keys_created_at"):
        op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    op.drop_table("idempotency_keys", if_exists=True)
