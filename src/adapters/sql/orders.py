"""Orders in a database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, case, insert, null, select, tuple_, type_coerce, update

from adapters.sql.database import AnyRow, Database
from adapters.sql.errors import ConstraintErrors
from adapters.sql.keyset import BEFORE, ROWS, newest_first, page_parameters
from adapters.sql.mapping import new_order_values, order_from, order_line_values, order_values
from adapters.sql.tables import OrderLineRow, OrderRow, table_of
from adapters.sql.transaction import SqlRepository, Transaction
from adapters.sql.types import Id, IdText, TimestampText
from application.orders.ports import OrderReader, OrderRepository, OrderSlice
from application.orders.views import OrderItemView, OrderView, ShippingAddressView
from domain.orders.errors import CustomerGone, OrderNotFound
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.shared.ids import OrderId, UserId

_ORDERS = table_of(OrderRow)
_LINES = table_of(OrderLineRow)

_OF_A_CUSTOMER: ConstraintErrors = {"fk_orders_user_id_users": CustomerGone}

_LOAD = select(_ORDERS).where(_ORDERS.c.id == bindparam("at_id")).with_for_update()
_LOAD_LINES = (
    select(_LINES.c.product_id, _LINES.c.quantity)
    .where(_LINES.c.order_id == bindparam("at_id"))
    .order_by(_LINES.c.position)
)
_INSERT = insert(_ORDERS)
_INSERT_LINE = insert(_LINES)
_UPDATE = update(_ORDERS).where(_ORDERS.c.id == bindparam("at_id"), _ORDERS.c.version == bindparam("at_version"))

_AT = bindparam("at", type_=_ORDERS.c.updated_at.type)
_FORGET = (
    update(_ORDERS)
    .where(_ORDERS.c.user_id == bindparam("of_user"))
    .values(
        street=null(),
        city=null(),
        state=null(),
        zip=null(),
        country=null(),
        updated_at=case((_ORDERS.c.updated_at > _AT, _ORDERS.c.updated_at), else_=_AT),
        version=_ORDERS.c.version + 1,
    )
)

_VIEWS: Select[*tuple[Any, ...]] = select(
    type_coerce(_ORDERS.c.id, IdText),
    type_coerce(_ORDERS.c.user_id, IdText),
    _ORDERS.c.street,
    _ORDERS.c.city,
    _ORDERS.c.state,
    _ORDERS.c.zip,
    _ORDERS.c.country,
    _ORDERS.c.status,
    type_coerce(_ORDERS.c.created_at, TimestampText),
    type_coerce(_ORDERS.c.updated_at, TimestampText),
    _ORDERS.c.version,
)
_ONE = _VIEWS.where(_ORDERS.c.id == bindparam("at_id"))
_ALL = newest_first(_VIEWS, _ORDERS.c.id)
_USER = bindparam("of_user", type_=Id)
# The hint is for MariaDB, which may take the order by id from the primary key, and look for somebody's orders in it.
_OF_USER = _ALL.where(_ORDERS.c.user_id == _USER).with_hint(_ORDERS, "FORCE INDEX (ix_orders_user_id_id)", "mysql")
# For PostgreSQL, which takes no hints, and otherwise does the same; see `page_by_id`, for posts.
_OF_USER_BY_ROWS = (
    _VIEWS.where(
        tuple_(_ORDERS.c.user_id, _ORDERS.c.id) < tuple_(_USER, BEFORE),
        _ORDERS.c.user_id >= _USER,
    )
    .order_by(_ORDERS.c.user_id.desc(), _ORDERS.c.id.desc())
    .limit(ROWS)
)
# A statement of its own: lines never change and never go, so they belong to the orders read a moment before.
_LINES_OF = (
    select(type_coerce(_LINES.c.order_id, IdText), _LINES.c.product_id, _LINES.c.quantity)
    .where(_LINES.c.order_id.in_(bindparam("orders", expanding=True, type_=Id)))
    .order_by(_LINES.c.order_id, _LINES.c.position)
)


class SqlOrderRepository(SqlRepository, OrderRepository):
    async def add(self, order: Order) -> None:
        await self._transaction.run(_INSERT, new_order_values(order), _OF_A_CUSTOMER)
        await self._transaction.run_many(_INSERT_LINE, order_line_values(order))
        self._track(order)

    async def get(self, order_id: OrderId) -> Order:
        row = (await self._transaction.run(_LOAD, {"at_id": order_id})).one_or_none()
        if row is None:
            raise OrderNotFound
        lines = (await self._transaction.run(_LOAD_LINES, {"at_id": order_id})).rows
        return order_from(row, [(line.product_id, line.quantity) for line in lines])

    async def save(self, order: Order) -> None:
        as_loaded = {"at_id": order.id, "at_version": order.version, "version": order.version + 1}
        await self._transaction.run_guarded(_UPDATE, {**order_values(order), **as_loaded})
        order.version += 1
        self._track(order)


class SqlOrderReader(OrderReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, order_id: OrderId) -> OrderView | None:
        row = await self._database.fetch_one(_ONE, {"at_id": order_id}, on_loop=True)
        return None if row is None else (await self._views([row]))[0]

    async def newest(self, *, limit: int, before: OrderId | None, customer: UserId | None) -> OrderSlice:
        parameters = page_parameters(limit, before)
        statement = _ALL
        if customer is not None:
            statement = _OF_USER_BY_ROWS if self._database.dialect.keyset_by_rows else _OF_USER
            parameters["of_user"] = customer
        rows = await self._database.fetch_all(statement, parameters, on_loop=True)
        return OrderSlice(await self._views(rows[:limit]), more=len(rows) > limit)

    async def _views(self, rows: Sequence[AnyRow]) -> list[OrderView]:
        items: dict[str, list[OrderItemView]] = {row.id: [] for row in rows}
        if items:
            wanted = {"orders": [UUID(order_id) for order_id in items]}
            for line in await self._database.fetch_all(_LINES_OF, wanted):
                items[line.order_id].append(OrderItemView(line.product_id, line.quantity))
        return [_view(row, items[row.id]) for row in rows]


async def forget_customer(transaction: Transaction, user_id: UserId, *, at: datetime) -> None:
    """Take the address off the orders of an account that is about to go; the foreign key takes its id off."""
    await transaction.run(_FORGET, {"of_user": user_id, "at": at})


def _view(row: AnyRow, items: list[OrderItemView]) -> OrderView:
    address = None
    if row.street is not None:
        address = ShippingAddressView(row.street, row.city, row.state, row.zip, row.country)
    return OrderView(
        id=row.id,
        user_id=row.user_id,
        items=items,
        shipping_address=address,
        status=OrderStatus(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )
