"""What a database's words are taken to mean."""

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from adapters.sql.dialects.base import Verdict
from adapters.sql.dialects.mysql import MysqlDialect
from adapters.sql.dialects.postgresql import PostgresqlDialect
from adapters.sql.dialects.sqlite import SqliteDialect
from adapters.sql.errors import translated
from application.shared.errors import StorageUnavailable, TransientFailure
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
    assert isinstance(translated(from_mysql(1062, message), MysqlDialect(), NAMED), meaning)


def test_a_constraint_that_nobody_asked_about_is_a_defect_and_stays_one() -> None:
    error = from_mysql(1062, "Duplicate entry 'x' for key 'PRIMARY'")

    assert translated(error, MysqlDialect(), NAMED) is error
    unasked = from_mysql(1062, "Duplicate entry 'x' for key 'uq_users_email_key'")
    assert translated(unasked, MysqlDialect()) is unasked


def test_an_error_that_no_database_reported_is_left_alone() -> None:
    error = ZeroDivisionError()

    assert translated(error, MysqlDialect()) is error


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(code, TransientFailure) for code in (1020, 1205, 1213, 1047)]
    + [(code, StorageUnavailable) for code in (1040, 1203, 1053, 1290, 1969, 2003, 2006, 2013, 4031)],
)
def test_mysqls_numbers(code: int, meaning: type) -> None:
    assert type(translated(from_mysql(code, "…"), MysqlDialect())) is meaning


@pytest.mark.parametrize(
    ("state", "meaning"),
    [(state, TransientFailure) for state in ("40001", "40P01", "55P03")]
    + [(state, StorageUnavailable) for state in ("08006", "53300", "57P01", "57P03", "57014", "25006")],
)
def test_postgresqls_states(state: str, meaning: type) -> None:
    assert type(translated(from_postgresql(state), PostgresqlDialect())) is meaning


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("SQLITE_BUSY", Verdict.TRANSIENT),
        ("SQLITE_BUSY_SNAPSHOT", Verdict.TRANSIENT),
        ("SQLITE_LOCKED", Verdict.TRANSIENT),
        ("SQLITE_CANTOPEN", Verdict.UNAVAILABLE),
        ("SQLITE_INTERRUPT", Verdict.UNAVAILABLE),
        ("SQLITE_CORRUPT", None),
        ("SQLITE_FULL", None),
    ],
)
def test_sqlites_names(name: str, verdict: Verdict | None) -> None:
    orig = sqlite3.OperationalError("…")
    orig.sqlite_errorname = name

    assert SqliteDialect().verdict(OperationalError("…", {}, orig)) is verdict


def test_a_statement_that_is_wrong_is_nobodys_bad_luck() -> None:
    for error, dialect in (
        (from_mysql(1064, "You have an error in your SQL syntax"), MysqlDialect()),
        (from_postgresql("42601"), PostgresqlDialect()),
    ):
        assert translated(error, dialect) is error


def test_time_outs_and_refusals_of_the_operating_system_are_unavailable() -> None:
    for error in (TimeoutError(), ConnectionRefusedError(), OSError()):
        assert type(translated(error, PostgresqlDialect())) is StorageUnavailable


def test_a_database_that_says_nothing_of_a_constraint_is_not_guessed_at() -> None:
    orig = sqlite3.IntegrityError("FOREIGN KEY constraint failed")
    orig.sqlite_errorname = "SQLITE_CONSTRAINT_FOREIGNKEY"
    error = IntegrityError("…", {}, orig)

    assert isinstance(translated(error, SqliteDialect(), {"fk_a_b": EmailTaken}), EmailTaken)
    assert translated(error, SqliteDialect(), {"fk_a_b": EmailTaken, "fk_a_c": UsernameTaken}) is error
