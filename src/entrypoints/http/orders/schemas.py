"""What the routes of orders read."""

from typing import Annotated

import msgspec

from application.orders.move_order import MoveOrderCommand
from application.orders.place_order import PlaceOrderCommand
from application.orders.views import OrderView
from application.shared.idempotency import IdempotencyClaim
from domain.orders.status import OrderStatus
from domain.orders.values import (
    CITY_MAX_LENGTH,
    COUNTRY_MAX_LENGTH,
    LINES_MAX,
    PRODUCT_ID_MAX_LENGTH,
    PRODUCT_ID_PATTERN,
    QUANTITY_MAX,
    STATE_MAX_LENGTH,
    STREET_MAX_LENGTH,
    ZIP_MAX_LENGTH,
    OrderLine,
    OrderLines,
    ProductId,
    ShippingAddress,
    city,
    country,
    state,
    street,
    zip_code,
)
from domain.shared.actor import Actor
from domain.shared.ids import OrderId
from entrypoints.http.edge.json_body import Parsed

_TRIMMED = "Trimmed, not blank, without control characters."


class OrderItemBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A product, and how many of it."""

    product_id: Annotated[
        str,
        msgspec.Meta(
            description="An id out of your own catalogue, opaque here: 1 to 64 ASCII letters, digits and `.` `_` `:` "
            "`-`, a letter or digit first. Case matters, and each product comes once in an order.",
            examples=["sku-1042"],
            pattern=PRODUCT_ID_PATTERN,
            max_length=PRODUCT_ID_MAX_LENGTH,
        ),
        Parsed(ProductId.parse),
    ]
    quantity: Annotated[int, msgspec.Meta(examples=[2], ge=1, le=QUANTITY_MAX)]


Country = Annotated[
    str,
    msgspec.Meta(
        description=f"A name or a code. {_TRIMMED}", examples=["US"], min_length=1, max_length=COUNTRY_MAX_LENGTH
    ),
    Parsed(country),
]


class ShippingAddressBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where the order goes. Nothing is looked up."""

    street: Annotated[
        str,
        msgspec.Meta(
            description=f"Street and number. {_TRIMMED}",
            examples=["1 Main Street"],
            min_length=1,
            max_length=STREET_MAX_LENGTH,
        ),
        Parsed(street),
    ]
    city: Annotated[
        str,
        msgspec.Meta(description=_TRIMMED, examples=["Springfield"], min_length=1, max_length=CITY_MAX_LENGTH),
        Parsed(city),
    ]
    state: Annotated[
        str,
        msgspec.Meta(
            description=f"State, province or region. {_TRIMMED}",
            examples=["IL"],
            min_length=1,
            max_length=STATE_MAX_LENGTH,
        ),
        Parsed(state),
    ]
    zip: Annotated[
        str,
        msgspec.Meta(
            description=f"Postal code. {_TRIMMED}", examples=["62701"], min_length=1, max_length=ZIP_MAX_LENGTH
        ),
        Parsed(zip_code),
    ]
    country: Country | None = None


class PlaceOrderBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A new order."""

    items: Annotated[
        list[OrderItemBody],
        msgspec.Meta(description="Each product once.", min_length=1, max_length=LINES_MAX),
    ]
    shipping_address: ShippingAddressBody

    def command(self, actor: Actor, idempotency: IdempotencyClaim[OrderView] | None) -> PlaceOrderCommand:
        """Raises `Invalid` when a product comes twice."""
        lines = OrderLines.of([OrderLine.of(ProductId.parse(item.product_id), item.quantity) for item in self.items])
        to = self.shipping_address
        address = ShippingAddress.parse(street=to.street, city=to.city, state=to.state, zip=to.zip, country=to.country)
        return PlaceOrderCommand(actor=actor, lines=lines, address=address, idempotency=idempotency)


class MoveOrderBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The new status of an order."""

    status: OrderStatus

    def command(self, actor: Actor, order_id: OrderId, if_version: int | None) -> MoveOrderCommand:
        return MoveOrderCommand(actor=actor, order_id=order_id, status=self.status, if_version=if_version)
