"""Bearer authentication (RFC 6750): from the `Authorization` header to the actor."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from application.identity.ports import AccessTokens, Revocations, VerifiedAccess
from application.identity.revocations import generation_of
from application.shared.clock import Clock
from application.shared.errors import StorageUnavailable
from domain.identity.errors import InvalidToken
from domain.shared.actor import Actor, Scope
from domain.shared.errors import PosternError, Unauthenticated
from domain.shared.ids import SessionId
from entrypoints.http.edge.exchange import Exchange
from entrypoints.http.edge.operation import Operation

_BEARER = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)
"""RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1)."""
_SCHEME = re.compile(rb"bearer(?: |$)", re.IGNORECASE)

_REMEMBERED: Final = 10_000
"""Tokens; about 1 KiB each, so some 10 MiB at the most."""


class _Known(NamedTuple):
    """What a token that held says."""

    access: VerifiedAccess
    generation: int
    actor: Actor
    user_id: str


def _note_nothing(session_id: SessionId, generation: int, /) -> None:
    """Do nothing."""


class Authenticator:
    """Says who is calling.

    Checking a signature costs more than all the rest of a cached answer, so tokens that held are remembered by their
    exact text, the oldest forgotten first. What can change while a token lives is checked at each use, in `_admit`.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        clock: Clock,
        revocations: Revocations,
        *,
        note_use: Callable[[SessionId, int], None] = _note_nothing,
        remembered: int = _REMEMBERED,
    ) -> None:
        """`note_use` is told of each token that a refresh yielded, when it is seen for the first time here."""
        self._tokens = tokens
        self._clock = clock
        self._revocations = revocations
        self._note_use = note_use
        self._capacity = remembered
        self._remembered: dict[bytes, _Known] = {}

    def recognise_at_once(self, exchange: Exchange, credentials: bytes) -> bool:
        """Do what `recognise` does, for a token that was seen before; False when there is something to wait for.

        What held as a token was no API key, so `exchange.api_key` is None for it, rightly.
        """
        known = self._remembered.get(credentials)
        if known is None or not self._revocations.are_known():
            return False
        try:
            exchange.actor = self._hold(known)
        except InvalidToken as error:
            exchange.refusal = error
        else:
            exchange.user_id = known.user_id
        return True

    def recognise(self, exchange: Exchange, credentials: bytes) -> None:
        """Leave on the exchange whose credentials it carries, or why they hold for nobody. Raises nothing.

        Once a request, as it comes in. Limits and the log go by it, which are not to refuse anybody; whoever asks for
        the caller gets to hear it.
        """
        key = exchange.api_key
        if key is None:
            try:
                known = self._known(exchange, credentials)
                exchange.actor = self._admit(known)
            except PosternError as error:
                exchange.refusal = error
            else:
                exchange.user_id = known.user_id
        elif isinstance(key, Actor):
            exchange.user_id = str(key.user_id)

    def caller(self, exchange: Exchange, scope: Scope | None = None) -> Actor | None:
        """Return the caller; None without credentials. Raises `Unauthenticated` or `InvalidToken` for bad ones.

        `scope` is what an API key has to be good for; without one, only a session will do (`InsufficientScope`).
        """
        if exchange.api_key is not None:
            if isinstance(exchange.api_key, PosternError):
                raise exchange.api_key
            exchange.api_key.demand_scope(scope)
            return exchange.api_key
        credentials = exchange.fields.get(b"authorization")
        if credentials is None:
            return None
        if exchange.refusal is not None:
            raise exchange.refusal
        return self._admit(self._known(exchange, credentials))

    def recognised(self, exchange: Exchange, scope: Scope | None = None) -> Actor | None:
        """Return the caller as they were recognised when the request came in; else what `caller` returns, or raises.

        For a read that is answered at once. What takes its time, or lasts, asks `caller`, as often as it wants to know.
        """
        return exchange.actor or self.caller(exchange, scope)

    def signed_in(self, exchange: Exchange, scope: Scope | None = None) -> Actor:
        """Return the caller. Raises `Unauthenticated` without credentials, and what `caller` raises."""
        actor = self.caller(exchange, scope)
        if actor is None:
            raise Unauthenticated
        return actor

    def allowed(self, exchange: Exchange, operation: Operation) -> Actor:
        """Return the caller, if they may do this at all. Raises what `signed_in` does, and `Forbidden`.

        Handlers ask it before they look at parameters and body: who may not do a thing hears that, whatever they sent.
        """
        actor = self.signed_in(exchange, operation.scope)
        if operation.permission is not None:
            actor.require(operation.permission)
        return actor

    def _known(self, exchange: Exchange, credentials: bytes) -> _Known:
        known = self._remembered.get(credentials)
        return known or self._verify(credentials, repeated=b"authorization" in exchange.repeated)

    def _verify(self, credentials: bytes, *, repeated: bool) -> _Known:
        if repeated:
            raise InvalidToken("There must be exactly one Authorization header.")
        match = _BEARER.fullmatch(credentials)
        if match is None:
            if _SCHEME.match(credentials):
                raise InvalidToken
            raise Unauthenticated("The Authorization header must use the scheme Bearer.")
        access = self._tokens.verify(match[1].decode("ascii"))
        generation = generation_of(access.token_id, access.session_id)
        actor = Actor(access.user_id, access.role, access.session_id)
        known = _Known(access, generation, actor, str(access.user_id))
        if len(self._remembered) >= self._capacity:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[credentials] = known
        if generation > 0:
            self._note_use(access.session_id, generation)
        return known

    def _admit(self, known: _Known) -> Actor:
        """Let a token that once held pass, or not: the one door that each of them goes through at each use.

        What may have ended it is time, or an event: its session was closed, or its account has another role by now.
        Revocations are in memory. The edge has made sure that they are known as of a moment ago, or tried to; when
        they are not, nobody is let in on the strength of a token, and `StorageUnavailable` says so.
        """
        actor = self._hold(known)
        if not self._revocations.are_known():
            raise StorageUnavailable("Whether the token still holds cannot be told just now.")
        return actor

    def _hold(self, known: _Known) -> Actor:
        access, generation, actor, _ = known
        if self._clock.timestamp() >= access.expires_at or self._revocations.cover(access.session_id, generation):
            raise InvalidToken
        return actor
