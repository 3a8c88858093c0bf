"""Orders, which outlive the account that placed them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    # MySQL commits each table by itself: run again after a failure, the revision goes on where it stopped.
    "if_not_exists": True,
}
_STATUS = "status IN ('pending', 'confirmed', 'shipped', 'delivered', 'cancelled')"
_ADDRESS = (
    "(street IS NULL) = (city IS NULL) AND (street IS NULL) = (state IS NULL) AND (street IS NULL) = (zip IS NULL) "
    "AND (country IS NULL OR street IS NOT NULL)"
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


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", _id(), nullable=False),
        sa.Column("user_id", _id(), nullable=True),
        sa.Column("street", sa.String(200), nullable=True),
        sa.Column("city", sa.String(100), nullable=True),
        sa.Column("state", sa.String(100), nullable=True),
        sa.Column("zip", sa.String(20), nullable=True),
        sa.Column("country", sa.String(100), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_orders_user_id_users", ondelete="SET NULL"),
        sa.CheckConstraint(_STATUS, name=op.f("ck_orders_status")),
        sa.CheckConstraint(_ADDRESS, name=op.f("ck_orders_address")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_orders_version")),
        **_MYSQL,
    )
    if not sa.inspect(op.get_bind()).has_index("orders", "ix_orders_user_id_id"):
        op.create_index("ix_orders_user_id_id", "orders", ["user_id", "id"])
    op.create_table(
        "order_lines",
        sa.Column("order_id", _id(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("product_id", sa.String(64), nullable=False),
        sa.Column("quantity", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "position"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_order_lines_order_id_orders", ondelete="CASCADE"),
        sa.UniqueConstraint("order_id", "product_id", name="uq_order_lines_order_id_product_id"),
        sa.CheckConstraint("quantity BETWEEN 1 AND 1000", name=op.f("ck_order_lines_quantity")),
        sqlite_with_rowid=False,
        **_MYSQL,
    )


def downgrade() -> None:
    op.drop_table("order_lines", if_exists=True)
    op.drop_table("orders", if_exists=True)
