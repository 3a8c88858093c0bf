"""Statements in one database's SQL, compiled once, so that its driver can run them without SQLAlchemy in between.

SQLAlchemy builds and compiles every statement and says how values are converted; what is saved is its result
machinery, its events and its connection's bookkeeping: 40 to 80 µs a statement, where the driver needs 5 to 10.

This is for statements whose text never depends on their values. A list of values (`IN` with `expanding`), a default
that is computed in Python, a `text()` and an ORM entity have no such text; `compiled` returns None for them, and
SQLAlchemy runs them.
"""

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any

from sqlalchemy import CompoundSelect, Delete, Dialect, Executable, Insert, Select, Table, Update
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from adapters.sql.rows import PLAIN, AnyRow, Parameters

_Convert = Callable[[Any], Any]


class Compiled:
    """One statement: its SQL, and the way of values to the driver and back."""

    __slots__ = ("_constants", "_converted", "_inputs", "_pick", "_row", "places", "returns_rows", "sql", "target")

    def __init__(
        self, compiler: SQLCompiler, columns: Sequence[tuple[str | None, TypeEngine[Any]]], *, plain: bool = False
    ) -> None:
        dialect, names = compiler.dialect, _positions(compiler)
        self.sql = str(compiler)
        self.returns_rows = bool(columns)
        self.target = _target(compiler)
        """The table that it changes; None when it changes none, or returns of its own accord what it changed."""
        self._pick = _picker(names)
        self._inputs = [
            (at, convert)
            for at, name in enumerate(names)
            if (convert := _on_the_way_in(compiler.binds[name].type, dialect)) is not None
        ]
        self.places = len(names)
        # What the statement itself says, as the one in `score + 1`.
        self._constants = {
            name: bound.effective_value for name in names if not (bound := compiler.binds[name]).required
        }
        self._converted = [
            (at, convert)
            for at, (_, type_) in enumerate(columns)
            if (convert := _on_the_way_out(type_, dialect)) is not None
        ]
        self._row = None if plain else _row_of([name or "" for name, _ in columns])

    def bind(self, parameters: Parameters) -> tuple[Any, ...]:
        """Return the values in the order of their places. Raises `KeyError` for one that is missing."""
        given = {**self._constants, **parameters} if self._constants else parameters
        values = self._pick(given)
        if not self._inputs:
            return values
        converted = list(values)
        for at, convert in self._inputs:
            converted[at] = convert(converted[at])
        return tuple(converted)

    def rows(self, fetched: Sequence[Sequence[Any]]) -> Sequence[AnyRow]:
        """Return the rows as the types of their columns have them."""
        if not fetched:
            return []
        if not self._converted:
            return fetched if self._row is None else list(map(self._row, fetched))
        # By columns: most need no conversion, and those that do are one `map` each.
        columns: list[Any] = list(zip(*fetched, strict=True))
        for at, convert in self._converted:
            columns[at] = map(convert, columns[at])
        rows = zip(*columns, strict=True)
        return list(rows) if self._row is None else list(map(self._row, rows))


def compiled(statement: Executable, dialect: Dialect, parameters: Parameters) -> Compiled | None:
    """Return `statement` compiled for `dialect`; None when its text depends on its values.

    An INSERT or UPDATE sets the columns that `parameters` name. `dialect` must have seen its server: what it writes
    depends on the server's version.
    """
    if isinstance(statement, (Select, CompoundSelect, Delete)):
        return _compiled(statement, dialect, ())
    if isinstance(statement, (Insert, Update)):
        return _compiled(statement, dialect, tuple(parameters))
    return None


# Many more than there are: a page has one for each limit and shape that is asked for.
@lru_cache(maxsize=4096)
def _compiled(statement: Any, dialect: Dialect, keys: tuple[str, ...]) -> Compiled | None:
    columns: list[tuple[str | None, TypeEngine[Any]]] = []
    if isinstance(statement, Select):
        described = statement.column_descriptions
        if any(isinstance(column["expr"], type) for column in described):
            return None
        columns = [(column["name"], column["type"]) for column in described]
    elif isinstance(statement, CompoundSelect):
        columns = [(name, column.type) for name, column in statement.selected_columns.items()]
    elif statement._returning:  # noqa: SLF001 # nothing public tells
        return None
    compiler = statement.compile(dialect=dialect, column_keys=list(keys) if keys else None)
    if compiler.post_compile_params or compiler.insert_prefetch or compiler.update_prefetch:
        return None
    return Compiled(compiler, columns, plain=PLAIN in statement.get_execution_options())


def _row_of(names: Sequence[str]) -> Callable[[Sequence[Any]], AnyRow]:
    # What has no name gets one by its place.
    row = namedtuple("Row", names, rename=True)  # type: ignore[misc] # noqa: PYI024 # the names are data
    return partial(tuple.__new__, row)  # without `_make`, which counts the items of each


def _target(compiler: SQLCompiler) -> str | None:
    statement = compiler.statement
    if not isinstance(statement, (Insert, Update, Delete)) or compiler.effective_returning:
        return None
    return statement.table.name if isinstance(statement.table, Table) else None


def _picker(names: Sequence[str]) -> Callable[[Parameters], tuple[Any, ...]]:
    """Return what takes the values of `names` out of parameters, in their order: one call in C for two or more."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda parameters: tuple([parameters[name] for name in names])


def _positions(compiler: SQLCompiler) -> Sequence[str]:
    if compiler.positiontup is None:
        raise TypeError(f"{compiler.dialect.driver} takes parameters by name")
    return compiler.positiontup


def _on_the_way_in(type_: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _on_the_way_out(type_: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return type_.dialect_impl(dialect).result_processor(dialect, None)
