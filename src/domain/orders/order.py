"""The order aggregate."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.orders.errors import NotYourOrder, NowhereToShip, OrderNotFound
from domain.orders.events import OrderPlaced, OrderStatusChanged
from domain.orders.status import MOVES, NEEDS_ADDRESS, OrderStatus
from domain.orders.values import OrderLines, ShippingAddress
from domain.shared.actor import Actor, Permission
from domain.shared.events import Aggregate
from domain.shared.ids import OrderId, UserId


def may_see(actor: Actor, customer_id: UserId | None) -> bool:
    """Tell whether an order exists for `actor`: it is their own, or they manage orders."""
    return actor.user_id == customer_id or actor.may(Permission.MANAGE_ORDERS)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Order(Aggregate):
    """`place` makes a new order, `restore` brings a stored one back. Only its status ever changes.

    An order outlives the account of its customer: it then has neither a customer nor an address.
    """

    id: OrderId
    customer_id: UserId | None
    lines: OrderLines
    address: ShippingAddress | None
    status: OrderStatus
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def place(cls, *, id: OrderId, by: Actor, lines: OrderLines, address: ShippingAddress, at: datetime) -> Self:
        order = cls(
            id=id,
            customer_id=by.user_id,
            lines=lines,
            address=address,
            status=OrderStatus.PENDING,
            created_at=at,
            updated_at=at,
            version=1,
        )
        order._record(OrderPlaced(at=at, order_id=id, customer_id=by.user_id, version=1))
        return order

    def require_visible_to(self, actor: Actor) -> None:
        """Raise `OrderNotFound` to whom it is not to know of."""
        if not may_see(actor, self.customer_id):
            raise OrderNotFound

    def cancel(self, *, by: Actor, at: datetime) -> None:
        """Call it off, which its customer may until it is shipped. Raises `NotYourOrder` or a kind of `IllegalMove`."""
        if by.user_id != self.customer_id:
            raise NotYourOrder
        self._change_status(OrderStatus.CANCELLED, by=by, at=at)

    def move(self, to: OrderStatus, *, by: Actor, at: datetime) -> None:
        """Give it another status, which takes who manages orders. Raises `Forbidden` or a kind of `IllegalMove`."""
        by.require(Permission.MANAGE_ORDERS)
        self._change_status(to, by=by, at=at)

    def _change_status(self, to: OrderStatus, *, by: Actor, at: datetime) -> None:
        refusal = MOVES[self.status][to]
        if refusal is not None:
            raise refusal(f"It is {self.status}, and cannot become {to}.")
        if to in NEEDS_ADDRESS and self.address is None:
            raise NowhereToShip
        before, self.status = self.status, to
        self.updated_at = max(self.updated_at, at)
        self._record(
            OrderStatusChanged(
                at=at,
                order_id=self.id,
                customer_id=self.customer_id,
                # Storing it is what moves the version on.
                version=self.version + 1,
                before=before,
                after=to,
                by=by.user_id,
            )
        )
