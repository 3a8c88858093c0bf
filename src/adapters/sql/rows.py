"""What statements take and return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import CursorResult, Result

Parameters = Mapping[str, Any]
AnyRow: TypeAlias = Any
"""A tuple whose items have the names of their columns too, unless the statement is `PLAIN`."""

PLAIN: Final = "postern_plain"
"""An execution option of a statement whose rows are read by the places of their items: they need no names."""


@dataclass(slots=True)
class Rows:
    """What a statement returned, all of it, and how many rows it matched.

    Nobody changes one; that it is not frozen makes making it three times as fast, which a write does five times.
    """

    rows: Sequence[AnyRow]
    count: int

    def first(self) -> AnyRow | None:
        """Return the first row, if there is one."""
        return self.rows[0] if self.rows else None

    def one_or_none(self) -> AnyRow | None:
        """Return the only row, or None. Raises `ValueError` when there are several."""
        if not self.rows:
            return None
        (row,) = self.rows
        return row

    def scalar(self) -> Any:
        """Return the first column of the first row; None without a row."""
        return self.rows[0][0] if self.rows else None

    def scalars(self) -> list[Any]:
        """Return the first column of every row."""
        return [row[0] for row in self.rows]


def rows_of(result: Result[Any]) -> Rows:
    """Return what SQLAlchemy returned for a statement of Core."""
    if not isinstance(result, CursorResult):
        raise TypeError(f"{type(result).__name__} is of ORM entities")
    return Rows(result.all() if result.returns_rows else (), result.rowcount)
