"""Bearer authentication (RFC 6750): from the `Authorization` header to the actor."""

import re
from typing import Final

from application.identity.ports import AccessTokens, VerifiedAccess
from application.shared.clock import Clock
from domain.identity.errors import InvalidToken
from domain.shared.actor import Actor
from domain.shared.errors import Unauthenticated
from entrypoints.http.exchange import Exchange

_BEARER = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)
"""RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1)."""
_SCHEME = re.compile(rb"bearer(?: |$)", re.IGNORECASE)

_REMEMBERED: Final = 10_000
"""Tokens; about 1 KiB each, so some 10 MiB at the most."""


class Authenticator:
    """Says who is calling.

    Checking a signature costs more than all the rest of a cached answer, so tokens that held are remembered by their
    exact text, the oldest forgotten first. What can change while a token lives is checked at each use, in `_admit`.
    """

    def __init__(self, tokens: AccessTokens, clock: Clock, *, remembered: int = _REMEMBERED) -> None:
        self._tokens = tokens
        self._clock = clock
        self._capacity = remembered
        self._remembered: dict[bytes, tuple[VerifiedAccess, Actor]] = {}

    def caller(self, exchange: Exchange) -> Actor | None:
        """Return the caller; None without credentials. Raises `Unauthenticated` or `InvalidToken` for bad ones."""
        credentials = exchange.fields.get(b"authorization")
        if credentials is None:
            return None
        known = self._remembered.get(credentials)
        if known is None:
            known = self._verify(credentials, repeated=b"authorization" in exchange.repeated)
        return self._admit(*known)

    def signed_in(self, exchange: Exchange) -> Actor:
        """Return the caller. Raises `Unauthenticated` without credentials, and what `caller` raises."""
        actor = self.caller(exchange)
        if actor is None:
            raise Unauthenticated
        return actor

    def _verify(self, credentials: bytes, *, repeated: bool) -> tuple[VerifiedAccess, Actor]:
        if repeated:
            raise InvalidToken("There must be exactly one Authorization header.")
        match = _BEARER.fullmatch(credentials)
        if match is None:
            if _SCHEME.match(credentials):
                raise InvalidToken
            raise Unauthenticated("The Authorization header must use the scheme Bearer.")
        access = self._tokens.verify(match[1].decode("ascii"))
        known = access, Actor(access.user_id, access.role, access.session_id)
        if len(self._remembered) >= self._capacity:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[credentials] = known
        return known

    def _admit(self, access: VerifiedAccess, actor: Actor) -> Actor:
        """Let a token that once held pass, or not: the one door that each of them goes through at each use.

        A token can only end in time so far; whatever else may end it (a session that was closed) is to be asked here.
        """
        if self._clock.now().timestamp() >= access.expires_at:
            raise InvalidToken
        return actor
