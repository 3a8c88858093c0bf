"""What the parent of several workers knows and they do not: left in a file, which they read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from application.shared.health import Notice

_NAME: Final = "server-state"


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """How the workers of one server are."""

    wanted: int = 0
    """How many there are to be."""
    deaths: int = 0
    """How many have ended without being told to, since the server began."""
    dying: int = 0
    """How many of those it takes to be in a row."""
    pause_seconds: float = 0.0
    """How long the server waits at most before it replaces the next one."""
    reloads: int = 0
    """How many reloads came to their end."""
    abandoned_reloads: int = 0
    """How many did not, since what was to replace a worker did not start."""
    is_last_reload_abandoned: bool = False


class ServerStateFile:
    """Written by the parent, read by its workers."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _NAME

    def write(self, state: ServerState) -> None:
        """Raises `OSError`."""
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(state))
        fresh.replace(self._path)

    def read(self) -> ServerState:
        """Return the state; an empty one when none can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=ServerState)
        except (OSError, msgspec.MsgspecError):
            return ServerState()

    def notices(self) -> Iterator[Notice]:
        state = self.read()
        if state.dying:
            ended = "A worker has died" if state.dying == 1 else f"Workers keep dying: {state.dying} in a row"
            message = f"{ended}; the next one is replaced within {state.pause_seconds:g} s. The log has the reason."
            yield Notice(code="workers-die", message=message)
        if state.is_last_reload_abandoned:
            yield Notice(
                code="reload-abandoned",
                message="The last reload was abandoned, since the new worker did not start; the workers from before it "
                "serve. The log has the reason.",
            )

    def samples(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
        """Yield what metrics tell of it, the same in each worker."""
        state = self.read()
        yield "postern_workers_wanted", (), state.wanted
        yield "postern_worker_deaths_total", (), state.deaths
        yield "postern_reloads_total", (("result", "done"),), state.reloads
        yield "postern_reloads_total", (("result", "abandoned"),), state.abandoned_reloads
