"""A mail, and what can carry one."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person, as text and as HTML. Its texts hold tokens, so they stay out of every repr."""

    to: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


class DeliveryFailed(Exception):
    """The mail was refused for good; trying again would be refused again. The text names no token."""


class DeliveryDelayed(Exception):
    """The mail was not taken this time: no connection, a time-out, or an answer of 4xx (RFC 5321, section 4.2.1)."""


class MailTransport(Protocol):
    async def deliver(self, mail: Mail) -> None:
        """Hand the mail over. Raises `DeliveryFailed` or `DeliveryDelayed`."""
        ...
