"""Bearer authentication (RFC 6750): from the `Authorization` header to the actor."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from adapters.security.api_key_directory import ApiKeyDirectory
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
_API_KEY: Final = re.compile(rb"bearer +(pk_[A-Za-z0-9]+)", re.IGNORECASE)
_API_KEY_MARK: Final = b" pk_"
"""Credentials without it are no API key; cheaper to find than the pattern."""

_REMEMBERED: Final = 10_000
"""Tokens; about 1 KiB each, so some 10 MiB at the most."""


class _CachedToken(NamedTuple):
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
    exact text, the oldest forgotten first. What can change while a token lives is checked once a request, and before
    each write of a stream.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        clock: Clock,
        revocations: Revocations,
        api_keys: ApiKeyDirectory | None = None,
        *,
        note_use: Callable[[SessionId, int], None] = _note_nothing,
        remembered: int = _REMEMBERED,
    ) -> None:
        """`note_use` is told of each token that a refresh yielded, when it is seen for the first time here."""
        self._tokens = tokens
        self._clock = clock
        self._revocations = revocations
        self._api_keys = api_keys
        self._note_use = note_use
        self._capacity = remembered
        self._remembered: dict[bytes, _CachedToken] = {}

    def authenticate(self, exchange: Exchange, credentials: bytes) -> Awaitable[None] | None:
        """Leave on the exchange whose credentials it carries, or why they are refused. Raises nothing.

        Once a request, when it comes in: limits and the log use it, which refuse no credentials, and handlers ask
        `caller` and its like. Returns what has to be awaited first, if anything: a token that was seen before is
        judged at once.
        """
        known = self._remembered.get(credentials)
        if known is None or not self._revocations.are_current():
            return self._authenticate(exchange, credentials)
        access, generation, actor, user_id = known
        # As `_is_over` has it: a call is a hundredth of a cached answer.
        if self._clock.timestamp() >= access.expires_at or self._revocations.is_revoked(access.session_id, generation):
            exchange.caller = InvalidToken()
        else:
            exchange.caller = actor
            exchange.user_id = user_id
        return None

    async def _authenticate(self, exchange: Exchange, credentials: bytes) -> None:
        try:
            actor = exchange.caller = await self._find(exchange, credentials)
        except PosternError as error:
            exchange.caller = error
        else:
            exchange.user_id = str(actor.user_id)

    async def _find(self, exchange: Exchange, credentials: bytes) -> Actor:
        if not self._revocations.are_current():
            await self._revocations.refresh()
        key = _API_KEY.fullmatch(credentials) if _API_KEY_MARK in credentials else None
        if key is not None and self._api_keys is not None:
            return await self._api_keys.actor(key[1].decode("ascii"))
        return self._admit(self._known(exchange, credentials))

    def caller(self, exchange: Exchange, scope: Scope | None = None) -> Actor | None:
        """Return the caller; None without credentials. Raises `Unauthenticated` or `InvalidToken` for bad ones.

        `scope` is what an API key has to be good for; without one, only a session will do (`InsufficientScope`).
        """
        found = exchange.caller
        if isinstance(found, Actor) and found.scopes is None:
            return found
        return None if found is None else self.signed_in(exchange, scope)

    def signed_in(self, exchange: Exchange, scope: Scope | None = None) -> Actor:
        """Return the caller. Raises `Unauthenticated` without credentials, and what `caller` raises."""
        found = exchange.caller
        if isinstance(found, Actor):
            if found.scopes is not None:
                found.require_scope(scope)
            return found
        raise found or Unauthenticated

    def still_holds(self, exchange: Exchange) -> bool:
        """Tell whether the access token of a request that goes on, which was admitted, holds now.

        Raises `StorageUnavailable` when that cannot be told.
        """
        try:
            self._admit(self._known(exchange, exchange.fields[b"authorization"]))
        except (InvalidToken, Unauthenticated):
            return False
        return True

    def allowed(self, exchange: Exchange, operation: Operation) -> Actor:
        """Return the caller, if they may do this at all. Raises what `signed_in` does, and `Forbidden`.

        Handlers ask it before they look at parameters and body: who may not do a thing hears that, whatever they sent.
        """
        actor = self.signed_in(exchange, operation.scope)
        if operation.permission is not None:
            actor.require(operation.permission)
        return actor

    def _known(self, exchange: Exchange, credentials: bytes) -> _CachedToken:
        known = self._remembered.get(credentials)
        return known or self._verify(credentials, repeated=b"authorization" in exchange.repeated)

    def _verify(self, credentials: bytes, *, repeated: bool) -> _CachedToken:
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
        known = _CachedToken(access, generation, actor, str(access.user_id))
        if len(self._remembered) >= self._capacity:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[credentials] = known
        if generation > 0:
            self._note_use(access.session_id, generation)
        return known

    def _admit(self, known: _CachedToken) -> Actor:
        """Return the actor of a token whose signature holds, if the token still does.

        Revocations are in memory. The edge has made sure that they are known as of a moment ago, or tried to; when
        they are not, no token is accepted, and `StorageUnavailable` says so.
        """
        if self._is_over(known):
            raise InvalidToken
        if not self._revocations.are_current():
            raise StorageUnavailable("Whether the token still holds cannot be told just now.")
        return known.actor

    def _is_over(self, known: _CachedToken) -> bool:
        """Tell whether a token has ended: by its time, with its session, or because its account has another role."""
        access = known.access
        return self._clock.timestamp() >= access.expires_at or self._revocations.is_revoked(
            access.session_id, known.generation
        )
