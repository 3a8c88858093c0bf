"""The routes of orders."""

from typing import Final

import msgspec

from application.orders.cancel_order import CancelOrder, CancelOrderCommand
from application.orders.get_order import GetOrder, GetOrderQuery
from application.orders.list_orders import ListOrders, ListOrdersQuery
from application.orders.move_order import MoveOrder
from application.orders.place_order import PlaceOrder
from application.orders.use_cases import OrdersUseCases
from application.orders.views import OrderPageView, OrderView
from application.shared.errors import TransientFailure
from domain.orders.errors import (
    CustomerGone,
    NotYourOrder,
    NowhereToShip,
    OrderAlreadyShipped,
    OrderChanged,
    OrderClosed,
    OrderNotFound,
    OrderStepBack,
    OrderStepSkipped,
    OrderUnmoved,
)
from domain.shared.actor import Actor, Permission, Scope
from domain.shared.errors import Forbidden
from domain.shared.ids import OrderId, UserId
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.conditional import PRIVATE, bytes_tag, expected_version, representation, resource_tag
from entrypoints.http.edge.exchange import JSON_TYPE, Exchange, Response
from entrypoints.http.edge.idempotency import IdempotentCreation
from entrypoints.http.edge.json_body import collect, decoded, read
from entrypoints.http.edge.operation import PAGE, Auth, Operation, Parameter, id_parameter, path_parameter
from entrypoints.http.edge.paging import Query, path_id, refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.orders.schemas import MoveOrderBody, PlaceOrderBody

_ITEMS: Final = [{"product_id": "sku-1042", "quantity": 2}, {"product_id": "sku-7", "quantity": 1}]
_ADDRESS: Final = {"street": "1 Main Street", "city": "Springfield", "state": "IL", "zip": "62701", "country": "US"}
_EXAMPLE: Final[dict[str, object]] = {
    "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "user_id": "019aa1b2-0000-7e5f-8a6b-7c8d9e0f1a2b",
    "items": _ITEMS,
    "shipping_address": _ADDRESS,
    "status": "pending",
    "created_at": "2026-11-21T09:30:00.000000Z",
    "updated_at": "2026-11-21T09:30:00.000000Z",
    "version": 1,
}
_ORDER_ID: Final = path_parameter("order_id", "The order.")

PLACE: Final = Operation(
    id="placeOrder",
    summary="Place an order",
    tag="orders",
    describes=PlaceOrder,
    auth=Auth.REQUIRED,
    scope=Scope.ORDERS_WRITE,
    body=PlaceOrderBody,
    body_example={"items": _ITEMS, "shipping_address": _ADDRESS},
    status=201,
    answer=OrderView,
    answer_description="The order.",
    answer_example=_EXAMPLE,
    headers=("Location", "ETag", "Cache-Control", "Vary"),
    idempotent=True,
    raises=(CustomerGone, TransientFailure),
)
LIST: Final = Operation(
    id="listOrders",
    summary="List orders",
    tag="orders",
    describes=ListOrders,
    auth=Auth.REQUIRED,
    scope=Scope.ORDERS_READ,
    parameters=(
        *PAGE,
        id_parameter("user", "Only this user's orders instead of your own; another's for administrators."),
        Parameter(
            "all",
            "query",
            "`true`: everybody's orders, those of deleted accounts among them, for administrators. Not with `user`.",
            {"type": "string", "enum": ["true", "false"], "default": "false"},
        ),
    ),
    answer=OrderPageView,
    answer_description="A page of orders.",
    answer_example={"items": [_EXAMPLE], "next_cursor": None},
    headers=("Link", "Vary"),
    cacheable=True,
    raises=(Forbidden,),
)
READ: Final = Operation(
    id="getOrder",
    summary="Read an order",
    tag="orders",
    describes=GetOrder,
    auth=Auth.REQUIRED,
    scope=Scope.ORDERS_READ,
    parameters=(_ORDER_ID,),
    answer=OrderView,
    answer_description="The order.",
    answer_example=_EXAMPLE,
    headers=("Vary",),
    cacheable=True,
    raises=(OrderNotFound,),
)
CANCEL: Final = Operation(
    id="cancelOrder",
    summary="Cancel an order",
    tag="orders",
    describes=CancelOrder,
    auth=Auth.REQUIRED,
    scope=Scope.ORDERS_WRITE,
    parameters=(_ORDER_ID,),
    answer=OrderView,
    answer_description="The order, cancelled.",
    answer_example={**_EXAMPLE, "status": "cancelled", "version": 2},
    headers=("ETag", "Cache-Control", "Vary"),
    takes_if_match=True,
    raises=(
        OrderNotFound,
        NotYourOrder,
        OrderChanged,
        OrderUnmoved,
        OrderAlreadyShipped,
        OrderClosed,
        TransientFailure,
    ),
)
MOVE: Final = Operation(
    id="moveOrder",
    summary="Set the status of an order",
    tag="orders",
    describes=MoveOrder,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_ORDERS,
    parameters=(_ORDER_ID,),
    body=MoveOrderBody,
    body_example={"status": "confirmed"},
    answer=OrderView,
    answer_description="The order as it is now.",
    answer_example={**_EXAMPLE, "status": "confirmed", "version": 2},
    headers=("ETag", "Cache-Control", "Vary"),
    takes_if_match=True,
    raises=(
        Forbidden,
        OrderNotFound,
        OrderChanged,
        OrderUnmoved,
        OrderStepSkipped,
        OrderStepBack,
        OrderAlreadyShipped,
        OrderClosed,
        NowhereToShip,
        TransientFailure,
    ),
)

_LIST_PARAMETERS = frozenset({"limit", "cursor", "user", "all"})
_FLAG = frozenset({"true", "false"})
_encoder = msgspec.json.Encoder()


class OrdersRoutes:
    """Handlers and the table of them. Each reads the request, runs one use case, and writes what came of it."""

    def __init__(self, use: OrdersUseCases, auth: Authenticator, creations: IdempotentCreation, *, base: str) -> None:
        self._use = use
        self._auth = auth
        self._creations = creations
        self._orders = f"{base}/orders"

    def handlers(self) -> list[Registration]:
        one = f"{self._orders}/{{order_id:str}}"
        return [
            endpoint("POST", self._orders, PLACE)(self.place_order),
            endpoint("GET", self._orders, LIST)(self.list_orders),
            endpoint("GET", one, READ)(self.get_order),
            endpoint("PATCH", one, MOVE)(self.move_order),
            endpoint("POST", f"{one}/cancel", CANCEL)(self.cancel_order),
        ]

    async def place_order(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, PLACE.scope)
        refuse_parameters(exchange.query)
        raw = await collect(exchange)
        body = await decoded(raw, PlaceOrderBody)
        return await self._creations.answer(
            exchange,
            actor,
            raw,
            lambda once: self._use.place_order.execute(body.command(actor, once)),
            lambda order: _written(201, order, (b"location", f"{self._orders}/{order.id}".encode())),
        )

    async def list_orders(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, LIST.scope)
        query = Query(exchange.query, _LIST_PARAMETERS)
        wanted, user = query.page(), query.id("user")
        all_customers = query.choice("all", _FLAG) == "true"
        query.excludes("user", "all", default="false")
        query.check()
        customer = None if user is None else UserId(user)
        page = await self._use.list_orders.execute(ListOrdersQuery(actor, wanted, customer, all_customers))
        body = _encoder.encode(page)
        link = query.next_link(self._orders, page.next_cursor)
        return representation(exchange, body, bytes_tag(body), (*PRIVATE, *link))

    async def get_order(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, READ.scope)
        refuse_parameters(exchange.query)
        order_id = OrderId(path_id(exchange.params, "order_id"))
        order = await self._use.get_order.execute(GetOrderQuery(actor, order_id))
        body = _encoder.encode(order)
        return representation(exchange, body, resource_tag(order.version, body), PRIVATE)

    async def cancel_order(self, exchange: Exchange) -> Response:
        actor = self._auth.signed_in(exchange, CANCEL.scope)
        refuse_parameters(exchange.query)
        order_id = OrderId(path_id(exchange.params, "order_id"))
        if_version = await expected_version(exchange, lambda: self._version_of(actor, order_id))
        return _written(200, await self._use.cancel_order.execute(CancelOrderCommand(actor, order_id, if_version)))

    async def move_order(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, MOVE)
        refuse_parameters(exchange.query)
        order_id = OrderId(path_id(exchange.params, "order_id"))
        body = await read(exchange, MoveOrderBody)
        if_version = await expected_version(exchange, lambda: self._version_of(actor, order_id))
        return _written(200, await self._use.move_order.execute(body.command(actor, order_id, if_version)))

    async def _version_of(self, actor: Actor, order_id: OrderId) -> int:
        return (await self._use.get_order.execute(GetOrderQuery(actor, order_id))).version


def _written(status: int, order: OrderView, *headers: tuple[bytes, bytes]) -> Response:
    """Answer a write with the order as it is now, and the validator to decide the next one on."""
    encoded = _encoder.encode(order)
    tag = resource_tag(order.version, encoded)
    return Response(status, encoded, (JSON_TYPE, *PRIVATE, (b"etag", tag.encode()), *headers))
