"""The machine's clock."""

import time
from datetime import UTC, datetime

from application.shared.clock import Clock


class SystemClock(Clock):
    """Wall-clock time of this machine; how well it agrees with other machines is the operator's (NTP)."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def timestamp(self) -> float:
        return time.time()
