"""What the system routes answer with."""

from typing import Annotated, Literal

import msgspec

from application.shared.views import Timestamp

Latency = Annotated[float, msgspec.Meta(ge=0, description="Milliseconds that the answer took.")]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["ok"] = "ok"
    timestamp: Timestamp
    version: Annotated[str, msgspec.Meta(examples=["0.1.0"])]


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers; whoever hears nothing restarts it."""

    status: Literal["alive"] = "alive"


class ComponentHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One component answers."""

    status: Literal["up"] = "up"
    latency_ms: Latency


class ComponentState(msgspec.Struct, frozen=True, kw_only=True):
    """How one component is."""

    status: Literal["up", "down"]
    needed: Annotated[bool, msgspec.Meta(description="Whether requests fail while it is down.")]
    latency_ms: Latency


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that an operator must know of, and that requests are answered in spite of."""

    code: Annotated[str, msgspec.Meta(description="Stable; also a label of the metric `postern_notice`.")]
    message: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Every component that requests need answers."""

    status: Literal["ready"] = "ready"
    components: dict[str, ComponentState]
    notices: list[NoticeView]


class ProblemDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What a problem means, and what to do about it."""

    type: Annotated[str, msgspec.Meta(examples=["/problems/email-taken"])]
    slug: str
    title: str
    status: int
    description: str
    remedy: str


class ProblemCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """Every problem there is."""

    items: list[ProblemDescription]


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are."""

    name: str
    version: str
    docs: str
    redoc: str
    openapi: str
    health: str
    problems: str
    api: str
    mailbox: (
        Annotated[str, msgspec.Meta(description="The mails that would have been sent; only in development.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
