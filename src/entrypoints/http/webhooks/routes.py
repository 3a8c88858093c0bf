"""The routes of webhooks."""

from typing import Final
from uuid import UUID

import msgspec

from application.shared.errors import TransientFailure
from application.webhooks.delete_webhook import DeleteWebhook, DeleteWebhookCommand
from application.webhooks.edit_webhook import EditWebhook
from application.webhooks.get_delivery import GetDelivery, GetDeliveryQuery
from application.webhooks.get_webhook import GetWebhook, GetWebhookQuery
from application.webhooks.list_deliveries import ListDeliveries, ListDeliveriesQuery
from application.webhooks.list_webhooks import ListWebhooks, ListWebhooksQuery
from application.webhooks.register_webhook import RegisterWebhook
from application.webhooks.replay_delivery import ReplayDelivery, ReplayDeliveryCommand
from application.webhooks.replay_failed import ReplayFailed
from application.webhooks.rotate_secret import RotateSecret, RotateSecretCommand
from application.webhooks.send_test_event import SendTestEvent, SendTestEventCommand
from application.webhooks.use_cases import WebhooksUseCases
from application.webhooks.views import (
    CreatedWebhookView,
    DeliveryDetailView,
    DeliveryPageView,
    DeliveryView,
    ReplayedView,
    WebhookPageView,
    WebhookView,
)
from domain.shared.actor import Actor, Permission
from domain.shared.errors import Forbidden
from domain.shared.ids import DeliveryId, WebhookId
from domain.webhooks.delivery import DeliveryStatus
from domain.webhooks.errors import (
    DeliveryNotFound,
    TargetRefused,
    TooManyWebhooks,
    WebhookChanged,
    WebhookDisabled,
    WebhookNotFound,
)
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.conditional import PRIVATE, bytes_tag, expected_version, representation, resource_tag
from entrypoints.http.edge.exchange import JSON_TYPE, NO_STORE, Exchange, Response, no_content
from entrypoints.http.edge.idempotency import IdempotentCreation
from entrypoints.http.edge.json_body import collect, decoded, read
from entrypoints.http.edge.operation import PAGE, Auth, Operation, Parameter, path_parameter
from entrypoints.http.edge.paging import Query, path_id, refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.webhooks.schemas import EditWebhookBody, RegisterWebhookBody, ReplayFailedBody

_ID: Final = "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"
_EVENT_ID: Final = "019aa1b2-0000-7e5f-8a6b-7c8d9e0f1a2b"
_AT: Final = "2026-11-21T09:30:00.000000Z"
_WEBHOOK: Final[dict[str, object]] = {
    "id": _ID,
    "url": "https://hooks.example.com/postern",
    "event_types": ["post.*", "order.placed"],
    "description": "Search index",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "previous_secret_until": None,
    "created_at": _AT,
    "updated_at": _AT,
    "version": 1,
}
_CREATED: Final = {**_WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
_DELIVERY: Final[dict[str, object]] = {
    "id": "019aa1b2-2222-7e5f-8a6b-7c8d9e0f1a2b",
    "webhook_id": _ID,
    "event_id": _EVENT_ID,
    "event_type": "post.published",
    "status": "pending",
    "attempts": 1,
    "next_attempt_at": "2026-11-21T09:30:05.700000Z",
    "last_attempt_at": _AT,
    "last_status_code": 503,
    "last_error": "status",
    "created_at": _AT,
}
_QUEUED: Final = {
    **_DELIVERY,
    "attempts": 0,
    "next_attempt_at": _AT,
    "last_attempt_at": None,
    "last_status_code": None,
    "last_error": None,
}
_PAYLOAD: Final = {
    "specversion": "1.0",
    "id": _EVENT_ID,
    "source": "https://api.example.com/api/v1",
    "type": "post.published",
    "subject": "019aa1b2-1111-7e5f-8a6b-7c8d9e0f1a2b",
    "time": _AT,
    "sequence": "00000000000000000042",
    "datacontenttype": "application/json",
    "dataschema": "https://api.example.com/api/v1/events/schemas/post.published/1",
    "data": {
        "post_id": "019aa1b2-1111-7e5f-8a6b-7c8d9e0f1a2b",
        "author_id": "019aa1b2-3333-7e5f-8a6b-7c8d9e0f1a2b",
        "version": 1,
        "reply_to": None,
    },
}
_WEBHOOK_ID: Final = path_parameter("webhook_id", "The webhook.")
_DELIVERY_ID: Final = path_parameter("delivery_id", "The delivery.")

REGISTER: Final = Operation(
    id="registerWebhook",
    summary="Register a webhook",
    tag="webhooks",
    describes=RegisterWebhook,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    body=RegisterWebhookBody,
    body_example={"url": "https://hooks.example.com/postern", "event_types": ["post.*", "order.placed"]},
    status=201,
    answer=CreatedWebhookView,
    answer_description="The webhook, with its secret.",
    answer_example=_CREATED,
    headers=("Location", "Cache-Control"),
    idempotent=True,
    raises=(Forbidden, TargetRefused, TooManyWebhooks, TransientFailure),
)
LIST: Final = Operation(
    id="listWebhooks",
    summary="List webhooks",
    tag="webhooks",
    describes=ListWebhooks,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=PAGE,
    answer=WebhookPageView,
    answer_description="A page of webhooks.",
    answer_example={"items": [_WEBHOOK], "next_cursor": None},
    headers=("Link", "Vary"),
    cacheable=True,
    raises=(Forbidden,),
)
READ: Final = Operation(
    id="getWebhook",
    summary="Read a webhook",
    tag="webhooks",
    describes=GetWebhook,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID,),
    answer=WebhookView,
    answer_description="The webhook.",
    answer_example=_WEBHOOK,
    headers=("Vary",),
    cacheable=True,
    raises=(Forbidden, WebhookNotFound),
)
EDIT: Final = Operation(
    id="editWebhook",
    summary="Change a webhook",
    tag="webhooks",
    describes=EditWebhook,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID,),
    body=EditWebhookBody,
    body_example={"enabled": False},
    answer=WebhookView,
    answer_description="The webhook as it is now.",
    answer_example={**_WEBHOOK, "enabled": False, "disabled_reason": "by_hand", "version": 2},
    headers=("ETag", "Cache-Control", "Vary"),
    takes_if_match=True,
    raises=(Forbidden, WebhookNotFound, WebhookChanged, TargetRefused, TransientFailure),
)
DELETE: Final = Operation(
    id="deleteWebhook",
    summary="Delete a webhook",
    tag="webhooks",
    describes=DeleteWebhook,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID,),
    status=204,
    answer_description="It is gone.",
    takes_if_match=True,
    raises=(Forbidden, WebhookNotFound, WebhookChanged, TransientFailure),
)
ROTATE: Final = Operation(
    id="rotateWebhookSecret",
    summary="Change the secret of a webhook",
    tag="webhooks",
    describes=RotateSecret,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID,),
    answer=CreatedWebhookView,
    answer_description="The webhook, with its new secret.",
    answer_example={**_CREATED, "previous_secret_until": "2026-11-22T09:30:00.000000Z", "version": 2},
    headers=("Cache-Control",),
    raises=(Forbidden, WebhookNotFound, TransientFailure),
)
TEST: Final = Operation(
    id="testWebhook",
    summary="Send a test event",
    tag="webhooks",
    describes=SendTestEvent,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID,),
    status=202,
    answer=DeliveryView,
    answer_description="The delivery, which is queued.",
    answer_example={**_QUEUED, "event_type": "webhook.test"},
    headers=("Location", "Cache-Control"),
    raises=(Forbidden, WebhookNotFound, WebhookDisabled, TransientFailure),
)
LIST_DELIVERIES: Final = Operation(
    id="listDeliveries",
    summary="List the deliveries of a webhook",
    tag="webhooks",
    describes=ListDeliveries,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(
        _WEBHOOK_ID,
        *PAGE,
        Parameter(
            "status",
            "query",
            "Only those that are waiting for an attempt, arrived, or failed for good.",
            {"type": "string", "enum": [status.value for status in DeliveryStatus]},
            "failed",
        ),
    ),
    answer=DeliveryPageView,
    answer_description="A page of deliveries.",
    answer_example={"items": [_DELIVERY], "next_cursor": None},
    headers=("Link", "Vary"),
    cacheable=True,
    raises=(Forbidden, WebhookNotFound),
)
READ_DELIVERY: Final = Operation(
    id="getDelivery",
    summary="Read a delivery",
    tag="webhooks",
    describes=GetDelivery,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID, _DELIVERY_ID),
    answer=DeliveryDetailView,
    answer_description="The delivery.",
    answer_example={**_DELIVERY, "payload": _PAYLOAD},
    headers=("Vary",),
    cacheable=True,
    raises=(Forbidden, WebhookNotFound, DeliveryNotFound),
)
REPLAY: Final = Operation(
    id="replayDelivery",
    summary="Send a delivery again",
    tag="webhooks",
    describes=ReplayDelivery,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID, _DELIVERY_ID),
    status=202,
    answer=DeliveryView,
    answer_description="The delivery, which is queued anew.",
    answer_example=_QUEUED,
    headers=("Cache-Control",),
    raises=(Forbidden, WebhookNotFound, DeliveryNotFound, WebhookDisabled, TransientFailure),
)
REPLAY_FAILED: Final = Operation(
    id="replayFailedDeliveries",
    summary="Send everything again that failed",
    tag="webhooks",
    describes=ReplayFailed,
    auth=Auth.REQUIRED,
    permission=Permission.MANAGE_WEBHOOKS,
    parameters=(_WEBHOOK_ID,),
    body=ReplayFailedBody,
    body_example={"since": "2026-11-20T00:00:00Z"},
    status=202,
    answer=ReplayedView,
    answer_description="How many were queued anew.",
    answer_example={"replayed": 17},
    headers=("Cache-Control",),
    raises=(Forbidden, WebhookNotFound, WebhookDisabled, TransientFailure),
)

_PAGE_PARAMETERS = frozenset({"limit", "cursor"})
_DELIVERY_PARAMETERS = _PAGE_PARAMETERS | {"status"}
_STATUSES = frozenset(status.value for status in DeliveryStatus)
_encoder = msgspec.json.Encoder()


class WebhooksRoutes:
    """Handlers and the table of them. Each reads the request, runs one use case, and writes what came of it."""

    def __init__(self, use: WebhooksUseCases, auth: Authenticator, creations: IdempotentCreation, *, base: str) -> None:
        self._use = use
        self._auth = auth
        self._creations = creations
        self._webhooks = f"{base}/webhooks"

    def handlers(self) -> list[Registration]:
        one = f"{self._webhooks}/{{webhook_id:str}}"
        delivery = f"{one}/deliveries/{{delivery_id:str}}"
        return [
            endpoint("POST", self._webhooks, REGISTER)(self.register_webhook),
            endpoint("GET", self._webhooks, LIST)(self.list_webhooks),
            endpoint("GET", one, READ)(self.get_webhook),
            endpoint("PATCH", one, EDIT)(self.edit_webhook),
            endpoint("DELETE", one, DELETE)(self.delete_webhook),
            endpoint("POST", f"{one}/secret", ROTATE)(self.rotate_secret),
            endpoint("POST", f"{one}/test", TEST)(self.send_test_event),
            endpoint("GET", f"{one}/deliveries", LIST_DELIVERIES)(self.list_deliveries),
            endpoint("POST", f"{one}/deliveries/replay", REPLAY_FAILED)(self.replay_failed),
            endpoint("GET", delivery, READ_DELIVERY)(self.get_delivery),
            endpoint("POST", f"{delivery}/replay", REPLAY)(self.replay_delivery),
        ]

    async def register_webhook(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, REGISTER)
        refuse_parameters(exchange.query)
        raw = await collect(exchange)
        body = await decoded(raw, RegisterWebhookBody)
        return await self._creations.answer(
            exchange,
            actor,
            raw,
            lambda once: self._use.register_webhook.execute(body.command(actor, once)),
            lambda webhook: _secret(201, webhook, (b"location", f"{self._webhooks}/{webhook.id}".encode())),
        )

    async def list_webhooks(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, LIST)
        query = Query(exchange.query, _PAGE_PARAMETERS)
        wanted = query.page()
        query.check()
        page = await self._use.list_webhooks.execute(ListWebhooksQuery(actor, wanted))
        body = _encoder.encode(page)
        link = query.next_link(self._webhooks, page.next_cursor)
        return representation(exchange, body, bytes_tag(body), (*PRIVATE, *link))

    async def get_webhook(self, exchange: Exchange) -> Response:
        exchange, actor, webhook_id = self._webhook_request(exchange, READ)
        webhook = await self._use.get_webhook.execute(GetWebhookQuery(actor, webhook_id))
        body = _encoder.encode(webhook)
        return representation(exchange, body, resource_tag(webhook.version, body), PRIVATE)

    async def edit_webhook(self, exchange: Exchange) -> Response:
        exchange, actor, webhook_id = self._webhook_request(exchange, EDIT)
        body = await read(exchange, EditWebhookBody)
        if_version = await expected_version(exchange, lambda: self._version_of(actor, webhook_id))
        webhook = await self._use.edit_webhook.execute(body.command(actor, webhook_id, if_version))
        encoded = _encoder.encode(webhook)
        tag = resource_tag(webhook.version, encoded)
        return Response(200, encoded, (JSON_TYPE, *PRIVATE, (b"etag", tag.encode())))

    async def delete_webhook(self, exchange: Exchange) -> Response:
        exchange, actor, webhook_id = self._webhook_request(exchange, DELETE)
        if_version = await expected_version(exchange, lambda: self._version_of(actor, webhook_id))
        await self._use.delete_webhook.execute(DeleteWebhookCommand(actor, webhook_id, if_version))
        return no_content()

    async def rotate_secret(self, exchange: Exchange) -> Response:
        _, actor, webhook_id = self._webhook_request(exchange, ROTATE)
        return _secret(200, await self._use.rotate_secret.execute(RotateSecretCommand(actor, webhook_id)))

    async def send_test_event(self, exchange: Exchange) -> Response:
        _, actor, webhook_id = self._webhook_request(exchange, TEST)
        delivery = await self._use.send_test_event.execute(SendTestEventCommand(actor, webhook_id))
        where = f"{self._webhooks}/{webhook_id}/deliveries/{delivery.id}"
        return _accepted(delivery, (b"location", where.encode()))

    async def list_deliveries(self, exchange: Exchange) -> Response:
        actor = self._auth.allowed(exchange, LIST_DELIVERIES)
        query = Query(exchange.query, _DELIVERY_PARAMETERS)
        webhook_id = WebhookId(query.path_id(exchange.params, "webhook_id"))
        wanted, status = query.page(), query.choice("status", _STATUSES)
        query.check()
        page = await self._use.list_deliveries.execute(
            ListDeliveriesQuery(actor, webhook_id, wanted, None if status is None else DeliveryStatus(status))
        )
        body = _encoder.encode(page)
        link = query.next_link(f"{self._webhooks}/{webhook_id}/deliveries", page.next_cursor)
        return representation(exchange, body, bytes_tag(body), (*PRIVATE, *link))

    async def get_delivery(self, exchange: Exchange) -> Response:
        exchange, actor, webhook_id = self._webhook_request(exchange, READ_DELIVERY)
        delivery_id = DeliveryId(path_id(exchange.params, "delivery_id"))
        delivery = await self._use.get_delivery.execute(GetDeliveryQuery(actor, webhook_id, delivery_id))
        body = _encoder.encode(delivery)
        return representation(exchange, body, bytes_tag(body), PRIVATE)

    async def replay_delivery(self, exchange: Exchange) -> Response:
        _, actor, webhook_id = self._webhook_request(exchange, REPLAY)
        delivery_id = DeliveryId(path_id(exchange.params, "delivery_id"))
        return _accepted(await self._use.replay_delivery.execute(ReplayDeliveryCommand(actor, webhook_id, delivery_id)))

    async def replay_failed(self, exchange: Exchange) -> Response:
        _, actor, webhook_id = self._webhook_request(exchange, REPLAY_FAILED)
        body = await read(exchange, ReplayFailedBody)
        return _accepted(await self._use.replay_failed.execute(body.command(actor, webhook_id)))

    def _webhook_request(self, exchange: Exchange, operation: Operation) -> tuple[Exchange, Actor, WebhookId]:
        actor = self._auth.allowed(exchange, operation)
        refuse_parameters(exchange.query)
        webhook_id: UUID = path_id(exchange.params, "webhook_id")
        return exchange, actor, WebhookId(webhook_id)

    async def _version_of(self, actor: Actor, webhook_id: WebhookId) -> int:
        return (await self._use.get_webhook.execute(GetWebhookQuery(actor, webhook_id))).version


def _secret(status: int, view: CreatedWebhookView, *headers: tuple[bytes, bytes]) -> Response:
    """Answer with what is shown once: nothing on the way may keep it."""
    return Response(status, _encoder.encode(view), (JSON_TYPE, NO_STORE, *headers))


def _accepted(view: DeliveryView | ReplayedView, *headers: tuple[bytes, bytes]) -> Response:
    """Answer with what will be done."""
    return Response(202, _encoder.encode(view), (JSON_TYPE, NO_STORE, *headers))
