"""What a database's words are taken to mean."""

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from adapters.sql.dialects.base import ErrorKind
from adapters.sql.dialects.mysql import MysqlDialect
from adapters.sql.dialects.postgresql import PostgresqlDialect
from adapters.sql.dialects.sqlite import SqliteDialect
from adapters.sql.errors import CannotConnect, CommitInDoubt, application_error
from application.shared.errors import OutcomeUnknown, StorageUnavailable, TransientFailure
from domain.identity.errors import EmailTaken, UsernameTaken

NAMED = {"uq_users_email_key": EmailTaken, "uq_users_username_key": UsernameTaken}


def from_mysql(code: int, message: str) -> DBAPIError:
    return IntegrityError("INSERT …", {}, Exception(code, message))


def from_postgresql(state: str) -> DBAPIError:
    orig = Exception("…")
    vars(orig)["sqlstate"] = state
    return OperationalError("SELECT …", {}, orig)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("Duplicate entry 'alice' for key 'uq_users_username_key'", UsernameTaken),
        ("Duplicate entry 'alice' for key 'users.uq_users_username_key'", UsernameTaken),
        ("Duplicate entry 'x' for key 'uq_users_username_key'' for key 'users.uq_users_email_key'", EmailTaken),
        ("Duplicate entry '' for key 'users.uq_users_email_key'' for key 'uq_users_username_key'", UsernameTaken),
    ],
)
def test_the_name_of_a_constraint_is_not_taken_from_what_a_user_wrote(message: str, meaning: type) -> None:
    assert isinstance(application_error(from_mysql(1062, message), MysqlDialect(), NAMED), meaning)


def test_a_constraint_that_nobody_asked_about_is_a_defect_and_stays_one() -> None:
    error = from_mysql(1062, "Duplicate entry 'x' for key 'PRIMARY'")

    assert application_error(error, MysqlDialect(), NAMED) is error
    unasked = from_mysql(1062, "Duplicate entry 'x' for key 'uq_users_email_key'")
    assert application_error(unasked, MysqlDialect()) is unasked


def test_an_error_that_no_database_reported_is_left_alone() -> None:
    error = ZeroDivisionError()

    assert application_error(error, MysqlDialect()) is error


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(code, TransientFailure) for code in (1020, 1205, 1213, 1412, 3101)]
    + [
        (code, StorageUnavailable)
        for code in (
            # No room: disk, memory, connections.
            *(1021, 1026, 1030, 1114, 1037, 1038, 1041, 1040, 1135, 1203, 1226, 1534, 3, 20),
            # A fail-over, or read-only.
            *(1047, 1290, 1792, 1836, 3098, 3100, 1053, 1927),
            # Gone, or too slow.
            *(1152, 1969, 3024, 2003, 2006, 2013, 4031),
            # Damaged.
            *(145, 1034, 1194, 1712, 1877, 1932),
        )
    ],
)
def test_mysqls_numbers(code: int, meaning: type) -> None:
    assert type(application_error(from_mysql(code, "…"), MysqlDialect())) is meaning


@pytest.mark.parametrize(
    ("state", "meaning"),
    [(state, TransientFailure) for state in ("40001", "40P01", "55P03")]
    + [
        (state, StorageUnavailable)
        for state in (
            *("53000", "53100", "53200", "53300", "53400"),
            *("08001", "08006", "57P01", "57P02", "57P03", "57P04", "57P05", "57014", "25P03"),
            *("25006", "58000", "58030", "58P01", "XX001", "XX002", "F0001"),
        )
    ],
)
def test_postgresqls_states(state: str, meaning: type) -> None:
    assert type(application_error(from_postgresql(state), PostgresqlDialect())) is meaning


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("SQLITE_BUSY", ErrorKind.TRANSIENT),
        ("SQLITE_BUSY_SNAPSHOT", ErrorKind.TRANSIENT),
        ("SQLITE_LOCKED", ErrorKind.TRANSIENT),
        ("SQLITE_CANTOPEN", ErrorKind.UNAVAILABLE),
        ("SQLITE_INTERRUPT", ErrorKind.UNAVAILABLE),
        ("SQLITE_CANTOPEN_ISDIR", ErrorKind.UNAVAILABLE),
        ("SQLITE_IOERR", ErrorKind.UNAVAILABLE),
        ("SQLITE_IOERR_FSYNC", ErrorKind.UNAVAILABLE),
        ("SQLITE_IOERR_SHMMAP", ErrorKind.UNAVAILABLE),
        ("SQLITE_FULL", ErrorKind.NO_ROOM),
        ("SQLITE_NOMEM", ErrorKind.NO_ROOM),
        ("SQLITE_READONLY", ErrorKind.NO_WRITES),
        ("SQLITE_READONLY_DBMOVED", ErrorKind.NO_WRITES),
        ("SQLITE_CORRUPT", ErrorKind.DAMAGED),
        ("SQLITE_CORRUPT_INDEX", ErrorKind.DAMAGED),
        ("SQLITE_NOTADB", ErrorKind.DAMAGED),
        ("SQLITE_ERROR", None),
        ("SQLITE_MISUSE", None),
        ("SQLITE_CONSTRAINT_CHECK", None),
        ("", None),
    ],
)
def test_sqlites_names(name: str, verdict: ErrorKind | None) -> None:
    orig = sqlite3.OperationalError("…")
    orig.sqlite_errorname = name

    assert SqliteDialect().classify(OperationalError("…", {}, orig)) is verdict


def test_a_statement_that_is_wrong_is_nobodys_bad_luck() -> None:
    for error, dialect in (
        (from_mysql(1064, "You have an error in your SQL syntax"), MysqlDialect()),
        (from_postgresql("42601"), PostgresqlDialect()),
    ):
        assert application_error(error, dialect) is error


def test_time_outs_and_refusals_of_the_operating_system_are_unavailable() -> None:
    for error in (TimeoutError(), ConnectionRefusedError(), OSError(), MemoryError(), CannotConnect()):
        assert type(application_error(error, PostgresqlDialect())) is StorageUnavailable


@pytest.mark.parametrize("code", [1047, 1290, 1792, 1836, 3098, 3100, 3101])
def test_connections_to_a_mysql_that_takes_no_writes_are_as_good_as_lost(code: int) -> None:
    assert MysqlDialect().is_demoted(from_mysql(code, "…"))


@pytest.mark.parametrize("code", [1021, 1040, 1213, 1205, 1064])
def test_a_mysql_that_is_full_or_busy_keeps_its_connections(code: int) -> None:
    assert not MysqlDialect().is_demoted(from_mysql(code, "…"))


def test_connections_to_a_postgresql_that_takes_no_writes_are_as_good_as_lost() -> None:
    assert PostgresqlDialect().is_demoted(from_postgresql("25006"))
    assert not PostgresqlDialect().is_demoted(from_postgresql("53100"))


def test_an_answer_to_a_commit_that_never_came_is_told_apart() -> None:
    doubt = CommitInDoubt()
    doubt.__cause__ = ConnectionResetError("reset by peer")

    meant = application_error(doubt, PostgresqlDialect())

    assert type(meant) is OutcomeUnknown
    assert meant.detail == "reset by peer"


def test_the_reason_is_the_databases_own_without_the_statement() -> None:
    orig = sqlite3.OperationalError("database or disk is full")
    orig.sqlite_errorname = "SQLITE_FULL"

    meant = application_error(OperationalError("INSERT INTO posts …", {"text": "secret"}, orig), SqliteDialect())

    assert "SQLITE_FULL: database or disk is full" in str(meant)
    assert "INSERT" not in str(meant)
    assert "secret" not in str(meant)


def test_a_database_that_says_nothing_of_a_constraint_is_not_guessed_at() -> None:
    orig = sqlite3.IntegrityError("FOREIGN KEY constraint failed")
    orig.sqlite_errorname = "SQLITE_CONSTRAINT_FOREIGNKEY"
    error = IntegrityError("…", {}, orig)

    assert isinstance(application_error(error, SqliteDialect(), {"fk_a_b": EmailTaken}), EmailTaken)
    assert application_error(error, SqliteDialect(), {"fk_a_b": EmailTaken, "fk_a_c": UsernameTaken}) is error
