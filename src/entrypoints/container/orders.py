"""The use cases of orders."""

from dependency_injector import providers

from application.orders.cancel_order import CancelOrder
from application.orders.get_order import GetOrder
from application.orders.list_orders import ListOrders
from application.orders.move_order import MoveOrder
from application.orders.place_order import PlaceOrder
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.container.retried import retried


class OrdersUseCases(Infrastructure):
    """Orders."""

    place_order = providers.Singleton(
        retried,
        providers.Singleton(
            PlaceOrder,
            uow=Infrastructure.storage.provided.orders_units,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
        ),
        Infrastructure.storage.provided.grouped,
    )
    cancel_order = providers.Singleton(
        retried,
        providers.Singleton(CancelOrder, uow=Infrastructure.storage.provided.orders_units, clock=Infrastructure.clock),
        Infrastructure.storage.provided.grouped,
    )
    move_order = providers.Singleton(
        retried,
        providers.Singleton(MoveOrder, uow=Infrastructure.storage.provided.orders_units, clock=Infrastructure.clock),
        Infrastructure.storage.provided.grouped,
    )
    get_order = providers.Singleton(GetOrder, reader=Infrastructure.storage.provided.orders)
    list_orders = providers.Singleton(
        ListOrders, reader=Infrastructure.storage.provided.orders, cursors=Infrastructure.cursors
    )
