"""The schemas of events: `GET /api/v1/events/schemas`, and one of each type and version."""

from typing import Annotated, Final

import msgspec

from application.events.catalogue import PUBLIC_TYPES, SCHEMAS
from application.events.views import schema_of
from entrypoints.http.edge.conditional import PUBLIC, bytes_tag, representation
from entrypoints.http.edge.exchange import Exchange, Response
from entrypoints.http.edge.operation import Operation, Parameter
from entrypoints.http.edge.paging import refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.problems.errors import NoSuchRoute


class EventSchemaEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A type of events, and a version of what it says."""

    type: Annotated[str, msgspec.Meta(examples=["post.published"])]
    version: Annotated[int, msgspec.Meta(ge=1)]
    description: str
    public: Annotated[bool, msgspec.Meta(description="Whether everybody sees such events live.")]
    schema: Annotated[str, msgspec.Meta(description="Where the JSON Schema is.")]


class EventSchemas(msgspec.Struct, frozen=True, kw_only=True):
    """Every type of events there is."""

    items: list[EventSchemaEntry]


LIST: Final = Operation(
    id="listEventSchemas",
    summary="List every type of events",
    tag="events",
    description="What events there are, and where the JSON Schema of the `data` of each is. A schema never changes "
    "what it demands: a new version comes beside it, and `dataschema` of an event names the one that it follows.",
    answer=EventSchemas,
    answer_description="The types.",
    cacheable=True,
)
READ: Final = Operation(
    id="getEventSchema",
    summary="Read the schema of an event's data",
    tag="events",
    description="JSON Schema 2020-12. It is what `dataschema` of an event leads to.",
    parameters=(
        Parameter("type", "path", "The `type` of events.", {"type": "string", "maxLength": 100}, "post.published"),
        Parameter("version", "path", "The version of the schema.", {"type": "integer", "minimum": 1}, 1),
    ),
    answer_description="The schema.",
    cacheable=True,
    raises=(NoSuchRoute,),
)


class EventSchemaRoutes:
    def __init__(self, *, base: str) -> None:
        self._base = f"{base}/events/schemas"
        found = {(type_, str(version)): schema_of(type_, version, data) for (type_, version), data in SCHEMAS.items()}
        self._schemas = {key: msgspec.json.encode(schema) for key, schema in found.items()}
        entries = [
            EventSchemaEntry(
                type=type_,
                version=version,
                description=found[type_, str(version)]["description"],
                public=type_ in PUBLIC_TYPES,
                schema=f"{self._base}/{type_}/{version}",
            )
            for type_, version in sorted(SCHEMAS)
        ]
        self._index = msgspec.json.encode(EventSchemas(items=entries))

    def handlers(self) -> list[Registration]:
        return [
            endpoint("GET", self._base, LIST)(self.list),
            endpoint("GET", f"{self._base}/{{type:str}}/{{version:str}}", READ)(self.read),
        ]

    async def list(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        return representation(exchange, self._index, bytes_tag(self._index), PUBLIC)

    async def read(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        body = self._schemas.get((exchange.params["type"], exchange.params["version"]))
        if body is None:
            raise NoSuchRoute
        return representation(exchange, body, bytes_tag(body), PUBLIC)
