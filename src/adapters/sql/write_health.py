"""Whether the database takes writes, as this process has seen it."""

import time
from typing import Final

from application.shared.errors import StorageUnavailable
from application.shared.health import Notice

HOLD_SECONDS: Final = 2.0
"""For how long after a failed write a write that passes is no proof: on a full disk small ones still find some room."""
NOTICE: Final = Notice(code="writes-fail", message="The database does not take writes.", is_unready=True)


class WriteHealth:
    """Remembers the last write that failed for want of the database, until a later probe has passed."""

    def __init__(self) -> None:
        self._failed_at: float | None = None
        """By the monotonic clock; None: as far as is known, writes pass."""
        self._reason = ""

    @property
    def is_failing(self) -> bool:
        return self._failed_at is not None

    @property
    def reason(self) -> str:
        """What the database said, for the log."""
        return self._reason

    def failed(self, failure: StorageUnavailable) -> None:
        self._failed_at = time.monotonic()
        self._reason = failure.detail

    def passed(self) -> None:
        """Note that a probe has passed."""
        if self._failed_at is not None and time.monotonic() - self._failed_at >= HOLD_SECONDS:
            self._failed_at = None

    def notices(self) -> tuple[Notice, ...]:
        return () if self._failed_at is None else (NOTICE,)
