"""Health: whether the process lives, whether it can do its work, and how its components are."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from application.shared.clock import Clock
from application.shared.errors import Unavailable
from application.shared.health import Notices, Probe
from application.shared.views import timestamp
from entrypoints.http.edge.exchange import JSON_TYPE, NO_STORE, Exchange, Response
from entrypoints.http.edge.operation import Operation
from entrypoints.http.edge.paging import refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.problems.errors import NotConfigured, NotReady
from entrypoints.http.system.schemas import ComponentHealth, ComponentState, Health, Liveness, NoticeView, Readiness

_PATIENCE_SECONDS: Final = 2.0
"""How long a component may take to answer a probe. Orchestrators give up after some seconds too."""


@dataclass(frozen=True, slots=True)
class Component:
    """Something outside of the process. Needed: requests fail without it. Without a probe it is not configured."""

    name: str
    title: str
    probe: Probe | None
    needed: bool


HEALTH: Final = Operation(
    id="getHealth",
    summary="Tell that the service answers, its time and its version",
    tag="system",
    answer=Health,
    answer_description="It answers.",
    answer_example={"status": "ok", "timestamp": "2026-11-21T09:30:00.000000Z", "version": "0.1.0"},
    headers=("Cache-Control",),
    stores=False,
    is_api=False,
)
LIVE: Final = Operation(
    id="getLiveness",
    summary="Tell that the process lives",
    tag="system",
    answer=Liveness,
    answer_description="It lives.",
    answer_example={"status": "alive"},
    headers=("Cache-Control",),
    stores=False,
    is_api=False,
)
READY: Final = Operation(
    id="getReadiness",
    summary="Tell whether the service can do its work",
    tag="system",
    description="Asks every component. 503 as long as one that requests need is down, or for another reason that "
    "`detail` gives, such as a server that is about to stop; the database is needed, the shared cache is not, since "
    "pages are read from the database without it. `notices` tells what an operator must know besides.",
    answer=Readiness,
    answer_description="It can.",
    answer_example={
        "status": "ready",
        "components": {"database": {"status": "up", "needed": True, "latency_ms": 0.41}},
        "notices": [],
    },
    headers=("Cache-Control",),
    stores=False,
    is_api=False,
    raises=(NotReady,),
)


def _component_operation(component: Component) -> Operation:
    return Operation(
        id=f"get{component.name.capitalize()}Health",
        summary=f"Tell whether {component.title} answers, and how fast",
        tag="system",
        answer=ComponentHealth,
        answer_description="It answers.",
        answer_example={"status": "up", "latency_ms": 0.41},
        headers=("Cache-Control",),
        stores=False,
        is_api=False,
        raises=(NotReady, NotConfigured),
    )


_encoder = msgspec.json.Encoder()


def _answer(view: msgspec.Struct) -> Response:
    return Response(200, _encoder.encode(view), (JSON_TYPE, NO_STORE))


async def _examine(component: Component, probe: Probe) -> ComponentState:
    """Ask a component. What it says when it fails stays here: it may name hosts and users."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await probe.check()
        is_up = True
    except (Unavailable, TimeoutError):
        is_up = False
    latency = round((time.perf_counter() - begun) * 1000, 3)
    return ComponentState(status="up" if is_up else "down", needed=component.needed, latency_ms=latency)


async def _examine_all(components: Mapping[str, Component]) -> dict[str, ComponentState]:
    configured = {name: (component, component.probe) for name, component in components.items() if component.probe}
    states = await asyncio.gather(*(_examine(component, probe) for component, probe in configured.values()))
    return dict(zip(configured, states, strict=True))


def health_routes(
    components: Mapping[str, Component], clock: Clock, notices: Notices, *, version: str
) -> list[Registration]:
    """Return the routes; each component has its own under `/health/<key>`."""

    @endpoint("GET", "/health", HEALTH)
    async def health(exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        return _answer(Health(timestamp=timestamp(clock.now()), version=version))

    @endpoint("GET", "/health/live", LIVE)
    async def live(exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        return _answer(Liveness())

    @endpoint("GET", "/health/ready", READY)
    async def ready(exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        states = await _examine_all({component.name: component for component in components.values()})
        missing = [name for name, state in states.items() if state.needed and state.status == "down"]
        current = notices.current()
        reasons = [f"Down: {', '.join(missing)}."] if missing else []
        reasons += [notice.message for notice in current if notice.is_unready]
        if reasons:
            raise NotReady(" ".join(reasons))
        told = [NoticeView(code=notice.code, message=notice.message) for notice in current]
        return _answer(Readiness(components=states, notices=told))

    def of(key: str, component: Component) -> Registration:
        @endpoint("GET", f"/health/{key}", _component_operation(component))
        async def one(exchange: Exchange) -> Response:
            refuse_parameters(exchange.query)
            if component.probe is None:
                raise NotConfigured
            state = await _examine(component, component.probe)
            if state.status == "down":
                raise NotReady(f"Down: {component.name}.")
            return _answer(ComponentHealth(latency_ms=state.latency_ms))

        return one

    return [health, live, ready, *(of(key, component) for key, component in components.items())]
