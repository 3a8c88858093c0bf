"""Whether memory answers."""

from application.shared.health import Probe


class MemoryProbe(Probe):
    """It answers as long as the process does, and a process that does not cannot say so."""

    async def check(self) -> None:
        return
