"""From what databases and drivers report to what the application knows."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.sql.dialects.base import Dialect, ErrorKind
from application.shared.errors import OutcomeUnknown, StorageUnavailable, TransientFailure

ConstraintErrors = Mapping[str, type[Exception]]
"""Which error a violated constraint means, by the constraint's name."""

CAUGHT = (SQLAlchemyError, OSError, MemoryError)
"""What a statement may raise. `OSError` covers refused connections and the time-outs of asyncpg, which come bare;
Python's SQLite says `MemoryError` when SQLite has none left."""

_REASON_LENGTH: Final = 200


class CannotConnect(OSError):
    """Connecting failed in a way that its driver has no error for."""


class CommitInDoubt(OSError):
    """The commit was sent, and what became of it is not known. The cause is what happened."""


def application_error(
    error: Exception, dialect: Dialect, constraint_errors: ConstraintErrors | None = None
) -> Exception:
    """Return the application's error for `error`, or `error` itself: a defect, which nobody should hide."""
    if isinstance(error, CommitInDoubt):
        return OutcomeUnknown(_reason(error.__cause__ or error))
    if isinstance(error, (OSError, PoolTimeoutError, MemoryError)):
        return StorageUnavailable(_reason(error))
    if not isinstance(error, DBAPIError):
        return error
    meant = None if constraint_errors is None else _meant(error, dialect, constraint_errors)
    return _judged(error, dialect) if meant is None else meant()


def _judged(error: DBAPIError, dialect: Dialect) -> Exception:
    kind = ErrorKind.UNAVAILABLE if error.connection_invalidated else dialect.classify(error)
    if kind is None:
        return error
    if kind is ErrorKind.TRANSIENT:
        return TransientFailure()
    return StorageUnavailable(f"{kind.value} ({_reason(error)})")


def _reason(error: BaseException) -> str:
    """Return what the operator is told, for the log alone: the database's own words, without the statement."""
    said = getattr(error, "orig", None) or error
    words = " ".join(str(said).split()) or type(said).__name__
    name = getattr(said, "sqlite_errorname", None) or getattr(said, "sqlstate", None)
    return f"{name}: {words}"[:_REASON_LENGTH] if name else words[:_REASON_LENGTH]


def _meant(error: DBAPIError, dialect: Dialect, constraint_errors: ConstraintErrors) -> type[Exception] | None:
    violation = dialect.violation(error)
    if violation is None:
        return None
    if violation.name is not None:
        return constraint_errors.get(violation.name)
    # SQLite does not name foreign keys; with one in question, that is the one.
    candidates = [meaning for name, meaning in constraint_errors.items() if name.startswith(f"{violation.kind}_")]
    return candidates[0] if len(candidates) == 1 else None
