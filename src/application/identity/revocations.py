"""Access tokens that no longer hold although they have not expired.

A token names its session and the generation of it that it was handed out for (`jti`). An event that kills tokens
yields a revocation: all tokens of a session up to and with a generation. Storage writes it in the transaction of the
event, and every process reads what is new several times a second, so that checking a token costs a look into memory.
"""

from dataclasses import dataclass
from typing import Final

from domain.identity.errors import InvalidToken
from domain.identity.events import AccessWithdrawn, SessionRevoked
from domain.shared.events import DomainEvent
from domain.shared.ids import SessionId

EVERY_GENERATION: Final = 2**31 - 1
"""No session gets there: at one refresh a second it would take 68 years."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Tokens of `session_id` up to and with `generation` do not hold."""

    session_id: SessionId
    generation: int


def revocation_of(event: DomainEvent) -> Revocation | None:
    """Return which tokens an event kills; None for an event that kills none."""
    match event:
        case SessionRevoked():
            return Revocation(event.session_id, EVERY_GENERATION)
        case AccessWithdrawn():
            return Revocation(event.session_id, event.generation)
        case _:
            return None


def token_id(session_id: SessionId, generation: int) -> str:
    """Return the id (`jti`) of a session's access tokens of one generation."""
    return f"{session_id.hex}.{generation}"


def generation_of(token_id: str, session_id: SessionId) -> int:
    """Return the generation that a token's id names. Raises `InvalidToken` when it is not an id of that session."""
    whose, _, generation = token_id.partition(".")
    if whose != session_id.hex or not (generation.isascii() and generation.isdecimal()) or len(generation) > 10:
        raise InvalidToken
    return int(generation)
