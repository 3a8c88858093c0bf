"""The HTTP application: the routes of each context over the use cases of one container, inside the edge."""

from contextlib import suppress
from importlib.metadata import version
from typing import Any, Final

from litestar import Litestar

from adapters.shared.redis import RedisProbe
from application.identity.note_session_use import NoteSessionUseCommand
from application.shared.errors import Overloaded
from domain.shared.ids import SessionId
from entrypoints.container import Container
from entrypoints.container.lifecycle import running
from entrypoints.container.workers import watching, working
from entrypoints.http.edge.addresses import ClientAddresses, ProxyHeader
from entrypoints.http.edge.authentication import Authenticator
from entrypoints.http.edge.exchange import Application
from entrypoints.http.edge.failures import handle
from entrypoints.http.edge.idempotency import IdempotentCreation
from entrypoints.http.edge.large_responses import LargeResponses
from entrypoints.http.edge.middleware import Edge
from entrypoints.http.edge.rate_limits import RequestLimits
from entrypoints.http.edge.request_bodies import RequestBodies, TransferLimits
from entrypoints.http.edge.routing import Registration, RouteTable, options_of
from entrypoints.http.edge.telemetry import Telemetry
from entrypoints.http.events.schemas import EventSchemaRoutes
from entrypoints.http.identity.administration import AdministrationRoutes
from entrypoints.http.identity.credentials import CredentialRoutes
from entrypoints.http.identity.mailed_pages import MailLinkPages
from entrypoints.http.identity.my_account import MyAccountRoutes
from entrypoints.http.identity.refresh_cookie import RefreshCookie
from entrypoints.http.identity.routes import IdentityRoutes
from entrypoints.http.live.routes import LiveRoutes
from entrypoints.http.openapi import build_document
from entrypoints.http.orders.routes import OrdersRoutes
from entrypoints.http.posts.routes import PostsRoutes
from entrypoints.http.system.health import Component, health_routes
from entrypoints.http.system.jwks import JwksRoutes
from entrypoints.http.system.mailbox import MAILBOX, mailbox_routes
from entrypoints.http.system.metrics import MetricsRoutes
from entrypoints.http.system.routes import SystemRoutes
from entrypoints.http.webhooks.routes import WebhooksRoutes
from entrypoints.settings import Settings

API: Final = "/api/v1"


def create_app(container: Container) -> Application:
    """Build the ASGI application. Use cases are resolved here, once; tests override providers before."""
    settings = container.settings()
    auth = _authenticator(container)
    transfers = _transfer_limits(settings)
    bodies = RequestBodies(transfers)
    app = _litestar(container, auth, bodies)
    return Edge(
        app,
        allowed_hosts=settings.allowed_hosts,
        cors_origins=settings.cors_origins,
        auth=auth,
        telemetry=Telemetry(container.request_metrics(), container.request_log()),
        addresses=_addresses(settings),
        routes=RouteTable(app.routes, _limits(container)),
        deadline_seconds=settings.request_deadline_seconds,
        hsts_seconds=settings.hsts_max_age_seconds if settings.environment.is_exposed else 0,
        serving=container.serving(),
        bodies=bodies,
        answers=LargeResponses(transfers),
    )


def _transfer_limits(settings: Settings) -> TransferLimits:
    return TransferLimits(
        body_seconds=settings.body_seconds,
        body_rate=settings.body_min_rate,
        per_address=settings.transfers_per_address,
        in_all=settings.transfers_max,
        bytes_per_address=settings.transfer_bytes_per_address,
        bytes_in_all=settings.transfer_bytes_max,
    )


def _addresses(settings: Settings) -> ClientAddresses:
    header = settings.trusted_proxy_header
    return ClientAddresses(settings.trusted_proxies, None if header is None else ProxyHeader(header))


def create_litestar(container: Container) -> Litestar:
    """Build what is inside the edge: routing, and nothing of Litestar's that is done per request elsewhere."""
    return _litestar(container, _authenticator(container), RequestBodies())


def _litestar(container: Container, auth: Authenticator, bodies: RequestBodies) -> Litestar:
    release = version("postern")

    def document() -> dict[str, Any]:
        return build_document(app, version=release)

    mailbox = None if container.mailbox() is None else MAILBOX
    handlers = [
        *_routes(container, auth, release),
        *SystemRoutes(document, version=release, mailbox=mailbox).handlers(),
    ]
    relays = container.settings().embeds_relay
    app = Litestar(
        route_handlers=[*options_of(handlers), *handlers],
        exception_handlers={Exception: handle},
        lifespan=[
            lambda _app: running(container),
            lambda _app: (working if relays else watching)(container),
            lambda _app: bodies.supervised(),
        ],
        on_startup=[container.serving().begin],
        debug=False,
        # The document is ours (see openapi.py), the log is ours (see problems), the limit is the edge's.
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
    return app


def openapi_document(container: Container) -> dict[str, Any]:
    """Return the OpenAPI document of the application over `container`."""
    return build_document(create_litestar(container), version=version("postern"))


def _limits(container: Container) -> RequestLimits | None:
    if not container.settings().rate_limit_enabled:
        return None
    return RequestLimits(container.limits(), shared=container.rate_limiter(), local=container.local_rate_limiter())


def _authenticator(container: Container) -> Authenticator:
    note, background = container.identity().note_session_use, container.background()

    def note_use(session_id: SessionId, generation: int) -> None:
        with suppress(Overloaded):  # Then it is noted where the token is seen next, or not: the grace lasts longer.
            background.submit(lambda: note.execute(NoteSessionUseCommand(session_id, generation)))

    return Authenticator(
        container.access_tokens(),
        container.clock(),
        container.revocations(),
        container.api_key_directory(),
        note_use=note_use,
    )


def _routes(container: Container, auth: Authenticator, release: str) -> list[Registration]:
    creations = IdempotentCreation(container.idempotency())
    identity = container.identity()
    settings = container.settings()
    browsers = RefreshCookie(path=f"{API}/auth", origins=settings.cors_origins)
    mailbox = container.mailbox()
    redis = container.redis()
    components = {
        "db": Component("database", "the database", container.storage().probe, needed=True),
        "broker": Component("broker", "the message broker", container.publisher(), needed=False),
        "cache": Component("cache", "the shared cache", None if redis is None else RedisProbe(redis), needed=False),
    }
    return [
        *IdentityRoutes(identity, auth, browsers, base=API).handlers(),
        *CredentialRoutes(identity, auth, creations, container.api_key_directory(), base=API).handlers(),
        *MyAccountRoutes(identity, auth, base=API).handlers(),
        *AdministrationRoutes(identity, auth, creations, base=API).handlers(),
        *PostsRoutes(container.posts(), auth, creations, container.threads(), base=API).handlers(),
        *OrdersRoutes(container.orders(), auth, creations, base=API).handlers(),
        *WebhooksRoutes(container.webhooks(), auth, creations, base=API).handlers(),
        *EventSchemaRoutes(base=API).handlers(),
        *LiveRoutes(container.live_hub(), auth, container.revocations(), container.live_peers(), base=API).handlers(),
        *health_routes(components, container.clock(), container.notices(), version=release),
        *JwksRoutes(settings.signing_keys).handlers(),
        *MetricsRoutes(
            container.metrics_board(),
            allowed=settings.metrics_allowed,
            token=settings.metrics_token,
            trusts_proxies=bool(settings.trusted_proxies),
            version=release,
            # Without a broker nothing is to be delivered, however much there is.
            ledger=None if settings.broker_url is None else container.storage().relay_ledger,
        ).handlers(),
        *MailLinkPages(identity, version=release).handlers(),
        *(() if mailbox is None else mailbox_routes(mailbox, version=release)),
    ]
