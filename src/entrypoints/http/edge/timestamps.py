"""Times as RFC 3339 writes them, wherever a request names one."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

TIMESTAMP_MAX_LENGTH: Final = 96
"""Characters; a fraction takes up to 70 digits, of which storage keeps six."""

_MOMENT: Final = re.compile(
    r"(?P<minutes>[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}):(?P<seconds>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,70}))?(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})"
)
_MICROSECOND: Final = timedelta(microseconds=1)


def parse_timestamp(text: str) -> datetime:
    """Read a time with its offset (RFC 3339, section 5.6), as UTC. Raises `ValueError` for anything else.

    What is finer than a microsecond is rounded up: of the times that storage holds, the same ones then lie before it.
    A leap second (`23:59:60Z`) is the second after it, as on every clock that has none.
    """
    found = _MOMENT.fullmatch(text.upper()) if len(text) <= TIMESTAMP_MAX_LENGTH else None
    if found is None:
        raise ValueError("not a time of RFC 3339")
    minutes, seconds, fraction, offset = found.groups()
    is_leap = seconds == "60"
    try:
        read = datetime.fromisoformat(f"{minutes}:{'59' if is_leap else seconds}{offset}").astimezone(UTC)
        if is_leap:
            if (read.hour, read.minute) != (23, 59):
                raise ValueError("no leap second was ever there")
            return read + timedelta(seconds=1)
        digits = (fraction or "").ljust(6, "0")
        read = read.replace(microsecond=int(digits[:6]))
        return read + _MICROSECOND if digits[6:].strip("0") else read
    except OverflowError:  # Year 1 or 9999, moved over the edge by its offset or by rounding.
        raise ValueError("not a time that there is") from None
