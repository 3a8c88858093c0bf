"""Webhooks: who is told of which events, every delivery, and how far the event log has been handed out."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    # MySQL commits each table by itself: run again after a failure, the revision goes on where it stopped.
    "if_not_exists": True,
}
_REASONS = "disabled_reason IN ('by_hand', 'gone', 'failing')"
_INDEXES = (
    ("ix_webhook_deliveries_endpoint_id_next_attempt_at", ["endpoint_id", "next_attempt_at"]),
    ("ix_webhook_deliveries_endpoint_id_status_id", ["endpoint_id", "status", "id"]),
    ("ix_webhook_deliveries_endpoint_id_id", ["endpoint_id", "id"]),
)


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


def _sealed() -> sa.types.TypeEngine[Any]:
    return (
        sa.LargeBinary(255)
        .with_variant(mysql.VARBINARY(255), "mysql", "mariadb")
        .with_variant(postgresql.BYTEA(), "postgresql")
    )


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", _id(), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("event_types", sa.Text(), nullable=False),
        sa.Column("description", sa.String(500), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(16), nullable=True),
        sa.Column("secret", _sealed(), nullable=False),
        sa.Column("previous_secret", _sealed(), nullable=True),
        sa.Column("previous_until", _moment(), nullable=True),
        sa.Column("from_position", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", _moment(), nullable=True),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(_REASONS, name=op.f("ck_webhook_endpoints_disabled_reason")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_webhook_endpoints_version")),
        **_MYSQL,
    )
    # No foreign key: deleting an endpoint must not wait for the deletion of a month of deliveries.
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", _id(), nullable=False),
        sa.Column("endpoint_id", _id(), nullable=False),
        sa.Column("event_id", _id(), nullable=False),
        sa.Column("event_type", sa.String(64), nullable=False),
        sa.Column("body", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("next_attempt_at", _moment(), nullable=True),
        sa.Column("claim", _id(), nullable=True),
        sa.Column("last_attempt_at", _moment(), nullable=True),
        sa.Column("last_status_code", sa.SmallInteger(), nullable=True),
        sa.Column("last_error", sa.String(32), nullable=True),
        sa.Column("created_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("endpoint_id", "event_id", name="uq_webhook_deliveries_endpoint_id_event_id"),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_status")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_webhook_deliveries_attempts")),
        **_MYSQL,
    )
    inspector = sa.inspect(op.get_bind())
    for name, columns in _INDEXES:
        if not inspector.has_index("webhook_deliveries", name):
            op.create_index(name, "webhook_deliveries", columns)
    op.create_table(
        "webhook_cursor",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
        **_MYSQL,
    )


def downgrade() -> None:
    op.drop_table("webhook_cursor", if_exists=True)
    op.drop_table("webhook_deliveries", if_exists=True)
    op.drop_table("webhook_endpoints", if_exists=True)
