"""Where the present request came from, carried along by a context variable.

A context variable follows a request through everything that is awaited and every task that is started for it, so that
neither use cases nor the domain have to pass on what they have no use for.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from application.shared.origin import Origin, OriginReader

_ADDRESS_LENGTH = 45
_USER_AGENT_LENGTH = 255

_NOWHERE = Origin()

Request = tuple[tuple[str, int] | None, Mapping[bytes, bytes], str]
"""The peer, the header fields and the request id. Most requests write no audit entry, so nothing is made of it yet."""

_request: ContextVar[Request | None] = ContextVar("postern_request", default=None)


class ContextOrigins(OriginReader):
    def begin(self, peer: Any, fields: Mapping[bytes, bytes], request_id: str) -> None:
        """Remember, for the rest of this task, which request is being worked on."""
        _request.set((peer, fields, request_id))

    def current(self) -> Origin:
        request = _request.get()
        if request is None:
            return _NOWHERE
        peer, fields, request_id = request
        user_agent = "".join(c for c in fields.get(b"user-agent", b"").decode("latin-1") if c.isprintable())
        return Origin(
            address=peer[0][:_ADDRESS_LENGTH] if peer else "",
            user_agent=user_agent[:_USER_AGENT_LENGTH],
            request_id=request_id,
        )
