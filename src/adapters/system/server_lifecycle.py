"""Whether this process takes requests, and what others do when it begins to and when it is about to stop."""

from collections.abc import Callable
from typing import Final

from application.shared.health import Notice, Notices

DRAINING: Final = Notice(code="draining", message="The server is about to stop.", is_unready=True)


class ServerLifecycle:
    """One a process. The server's worker drives it; the edge and what must know of it listen."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._at_begin: list[Callable[[], None]] = []
        self._at_closing: list[Callable[[], None]] = []
        self._is_closing = False

    def on_start(self, call: Callable[[], None]) -> None:
        """Have `call` called once everything is started and requests may come."""
        self._at_begin.append(call)

    def on_closing(self, call: Callable[[], None]) -> None:
        """Have `call` called when connections are to be closed with their next answer."""
        self._at_closing.append(call)

    async def begin(self) -> None:
        for call in self._at_begin:
            call()

    def close_connections(self) -> None:
        """Close kept-alive connections with their next answer, since another process takes over. Twice is fine."""
        if not self._is_closing:
            self._is_closing = True
            for call in self._at_closing:
                call()

    def drain(self) -> None:
        """Do that, and tell load balancers that no process takes over here: `/health/ready` is 503 from now on."""
        self._notices.set(DRAINING)
        self.close_connections()
