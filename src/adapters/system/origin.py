"""Where the request came from that this task works for.

A context variable follows a request through everything that is awaited and every task that is started for it, so that
neither use cases nor the domain have to pass on what they have no use for.
"""

from adapters.shared.request import current
from application.shared.origin import Origin, OriginReader

_ADDRESS_LENGTH = 45
_USER_AGENT_LENGTH = 255

_NOWHERE = Origin()


class ContextOrigins(OriginReader):
    def current(self) -> Origin:
        request = current.get()
        if request is None:
            return _NOWHERE
        user_agent = "".join(c for c in request.fields.get(b"user-agent", b"").decode("latin-1") if c.isprintable())
        return Origin(
            address=request.address[:_ADDRESS_LENGTH],
            user_agent=user_agent[:_USER_AGENT_LENGTH],
            request_id=request.request_id,
        )
