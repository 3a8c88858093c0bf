"""Lists in the order of ids, newest first: what their statements and parameters have in common."""

from typing import Any, Final, TypeVarTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, bindparam

from adapters.sql.types import Id

Ts = TypeVarTuple("Ts")

FIRST: Final = UUID(int=0)
"""No id is below it."""
LAST: Final = UUID(int=(1 << 128) - 1)
"""No id is above it: a list that begins at the newest item is one before this."""
BEFORE: Final = bindparam("before", type_=Id)
ROWS: Final = bindparam("rows", type_=Integer)


def newest_first(views: Select[*Ts], id: ColumnElement[Any]) -> Select[*Ts]:
    """Select a page of `views`, with the parameters of `page_parameters`."""
    return views.where(id < BEFORE).order_by(id.desc()).limit(ROWS)


def page_parameters(limit: int, before: UUID | None) -> dict[str, Any]:
    """Return parameters for one row more than the `limit`, which says whether the list goes on."""
    return {"before": before or LAST, "rows": limit + 1}
