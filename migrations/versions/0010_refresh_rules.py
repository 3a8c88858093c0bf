"""Sessions remember the latest exchanges of their refresh tokens, and whether the newest pair has arrived."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _columns() -> tuple[sa.Column[Any], ...]:
    octets = sa.LargeBinary(512).with_variant(mysql.VARBINARY(512), "mysql", "mariadb")
    return (
        sa.Column("earlier_exchanges", octets, nullable=True),
        sa.Column("used_generation", sa.Integer(), nullable=True),
    )


def upgrade() -> None:
    # MySQL commits each step by itself: run again after a failure, the revision goes on where it stopped.
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("sessions")}
    for column in _columns():
        if column.name not in present:
            op.add_column("sessions", column)


def downgrade() -> None:
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("sessions")}
    for column in _columns():
        if column.name in present:
            op.drop_column("sessions", column.name)
