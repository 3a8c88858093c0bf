"""How much may be under way between this process and its clients."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """What may be unfinished at once: of the bodies of requests, and as much of the answers.

    One address is an IPv4 address, or the /64 of one of IPv6.
    """

    body_seconds: float = 30.0
    body_rate: int = 240
    """Bytes a second, on average, once the first seconds are over."""
    per_address: int = 32
    in_all: int = 256
    bytes_per_address: int = 16 * 1_048_576
    bytes_in_all: int = 64 * 1_048_576
