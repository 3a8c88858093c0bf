"""Revocations, the audit trail, and what administrators search accounts by."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

from domain.shared.text import canonical_key

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
_BATCH = 1_000


def _id() -> sa.types.TypeEngine[Any]:
    return (
        sa.LargeBinary(16)
        .with_variant(mysql.BINARY(16), "mysql", "mariadb")
        .with_variant(postgresql.UUID(as_uuid=False), "postgresql")
    )


def _moment() -> sa.types.TypeEngine[Any]:
    return (
        sa.String(27)
        .with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
        .with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    )


def _key(length: int) -> sa.types.TypeEngine[Any]:
    return sa.LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


# MySQL commits each statement by itself: run again after a failure, each of these goes on where it stopped.


def _create_table(name: str, *items: sa.schema.SchemaItem, **options: Any) -> None:
    resumes = op.get_bind().dialect.name == "mysql"
    op.create_table(name, *items, if_not_exists=resumes, **_MYSQL, **options)


def _create_index(name: str, table: str, columns: list[str]) -> None:
    if not sa.inspect(op.get_bind()).has_index(table, name):
        op.create_index(name, table, columns)


def _drop_index(name: str, table: str) -> None:
    if sa.inspect(op.get_bind()).has_index(table, name):
        op.drop_index(name, table)


def _has_name_key() -> bool:
    return any(column["name"] == "name_key" for column in sa.inspect(op.get_bind()).get_columns("users"))


def upgrade() -> None:
    if not _has_name_key():
        op.add_column("users", sa.Column("name_key", _key(800), nullable=True))
    _fill_name_keys()
    _create_index("ix_users_name_key", "users", ["name_key"])
    _create_index("ix_users_role", "users", ["role"])
    _create_table(
        "revocations",
        sa.Column("id", _id(), nullable=False),
        sa.Column("session_id", _id(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    _create_index("ix_revocations_created_at", "revocations", ["created_at"])
    _create_table(
        "audit_entries",
        sa.Column("id", _id(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("actor_id", _id(), nullable=True),
        sa.Column("subject_id", _id(), nullable=True),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("user_agent", sa.String(255), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    _create_index("ix_audit_entries_actor_id_id", "audit_entries", ["actor_id", "id"])
    _create_index("ix_audit_entries_subject_id_id", "audit_entries", ["subject_id", "id"])


def downgrade() -> None:
    op.drop_table("audit_entries", if_exists=True)
    op.drop_table("revocations", if_exists=True)
    _drop_index("ix_users_role", "users")
    _drop_index("ix_users_name_key", "users")
    if _has_name_key():
        op.drop_column("users", "name_key")


def _fill_name_keys() -> None:
    """Compute the key of each name that was given before: no database folds letters as `canonical_key` does."""
    users = sa.table("users", sa.column("id", _id()), sa.column("name", sa.String()), sa.column("name_key", _key(800)))
    some = (
        sa.select(users.c.id, users.c.name)
        .where(users.c.name.is_not(None), users.c.name_key.is_(None))
        .limit(sa.bindparam("batch", type_=sa.Integer()))
    )
    fill = sa.update(users).where(users.c.id == sa.bindparam("at_id")).values(name_key=sa.bindparam("key"))
    connection = op.get_bind()
    while rows := connection.execute(some, {"batch": _BATCH}).all():
        connection.execute(fill, [{"at_id": id, "key": canonical_key(name)[:200].encode()} for id, name in rows])
