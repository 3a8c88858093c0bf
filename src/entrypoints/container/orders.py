"""Orders."""

from dependency_injector import providers

from application.orders.use_cases import OrdersUseCases
from entrypoints.container.infrastructure import Infrastructure


class Orders(Infrastructure):
    orders = providers.Singleton(
        OrdersUseCases,
        uow=Infrastructure.storage.provided.orders_units,
        reader=Infrastructure.storage.provided.orders,
        ids=Infrastructure.ids,
        clock=Infrastructure.clock,
        cursors=Infrastructure.cursors,
        writing=Infrastructure.writing,
    )
