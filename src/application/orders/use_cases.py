"""The use cases of orders, over their ports."""

from application.orders.cancel_order import CancelOrder
from application.orders.get_order import GetOrder
from application.orders.list_orders import ListOrders
from application.orders.move_order import MoveOrder
from application.orders.place_order import PlaceOrder
from application.orders.ports import OrderReader, OrdersUnits
from application.shared.clock import Clock
from application.shared.ids import IdGenerator
from application.shared.paging import CursorCodec
from application.shared.writing import Writing


class OrdersUseCases:
    def __init__(
        self,
        *,
        uow: OrdersUnits,
        reader: OrderReader,
        ids: IdGenerator,
        clock: Clock,
        cursors: CursorCodec,
        writing: Writing,
    ) -> None:
        self.place_order = writing(PlaceOrder(uow=uow, ids=ids, clock=clock))
        self.cancel_order = writing(CancelOrder(uow=uow, clock=clock))
        self.move_order = writing(MoveOrder(uow=uow, clock=clock))
        self.get_order = GetOrder(reader=reader)
        self.list_orders = ListOrders(reader=reader, cursors=cursors)
