"""Identifiers and randomness, as ports."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class IdGenerator(Protocol):
    def new(self, at: datetime) -> UUID:
        """Return a new UUIDv7 (RFC 9562) that carries `at` to the microsecond, so that ids sort by time."""
        ...


class UsernameGenerator(Protocol):
    def suggest(self) -> str:
        """Return a valid username that says nothing of its owner and is hardly ever taken."""
        ...
