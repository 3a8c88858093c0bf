"""From what databases and drivers report to what the application knows."""

from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.sql.dialects.base import Dialect, Verdict
from application.shared.errors import StorageUnavailable, TransientFailure

Named = Mapping[str, type[Exception]]
"""Which error a violated constraint means, by the constraint's name."""

CAUGHT = (SQLAlchemyError, OSError)
"""What a statement may raise. `OSError` covers refused connections and the time-outs of asyncpg, which come bare."""

_FAILURES = {Verdict.TRANSIENT: TransientFailure, Verdict.UNAVAILABLE: StorageUnavailable}


def translated(error: Exception, dialect: Dialect, named: Named | None = None) -> Exception:
    """Return the application's error for `error`, or `error` itself: a defect, which nobody should hide."""
    if isinstance(error, (OSError, PoolTimeoutError)):
        return StorageUnavailable()
    if not isinstance(error, DBAPIError):
        return error
    if named is not None and (meant := _meant(error, dialect, named)) is not None:
        return meant()
    verdict = Verdict.UNAVAILABLE if error.connection_invalidated else dialect.verdict(error)
    return error if verdict is None else _FAILURES[verdict]()


def _meant(error: DBAPIError, dialect: Dialect, named: Named) -> type[Exception] | None:
    violation = dialect.violation(error)
    if violation is None:
        return None
    if violation.name is not None:
        return named.get(violation.name)
    # SQLite does not name foreign keys; with one in question, that is the one.
    candidates = [meaning for name, meaning in named.items() if name.startswith(f"{violation.kind}_")]
    return candidates[0] if len(candidates) == 1 else None
