"""`Idempotency-Key`: creating requests that are sent again are answered as the first time.

After draft-ietf-httpapi-idempotency-key-header: 400 for what is no key, 409 while the first request is under way, 422
for a key that stands for another request. Unlike there, the value is taken as it is and not as a structured field, so
that a bare UUID will do; quotes are part of the key.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from application.shared.idempotency import IDEMPOTENCY_KEY_MAX_LENGTH, Idempotency, IdempotencyClaim, IdempotencyKey
from domain.shared.actor import Actor
from domain.shared.errors import FieldError, Invalid
from entrypoints.http.edge.exchange import Exchange, Response, Scope

V = TypeVar("V")

_FIELD: Final = b"idempotency-key"
_REPLAYED: Final = (b"idempotent-replayed", b"true")

KEY_SCHEMA: Final[dict[str, object]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": IDEMPOTENCY_KEY_MAX_LENGTH,
    "pattern": "^[\\x21-\\x7E]+$",
}


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is kept."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def idempotency_key(exchange: Exchange) -> IdempotencyKey | None:
    """Return the key; None without one. Raises `Invalid` for several, and for what is no key."""
    value = exchange.field(_FIELD)
    if value is None:
        return None
    if _FIELD in exchange.repeated:
        raise Invalid([FieldError("?Idempotency-Key", "repeated", "is given more than once")])
    return IdempotencyKey.parse(value)


class IdempotentCreation:
    """Answers requests that create."""

    def __init__(self, idempotency: Idempotency) -> None:
        self._idempotency = idempotency

    async def answer(
        self,
        exchange: Exchange,
        actor: Actor,
        body: bytes,
        create: Callable[[IdempotencyClaim[V] | None], Awaitable[V]],
        write: Callable[[V], Response],
    ) -> Response:
        """Run `create` and answer with what `write` makes of it; or, under a key that was used, as the first time.

        The same request is the same method, path and `body`, byte for byte. Only what was carried out is kept: after
        an error the key may be used again. Raises what `Idempotency.run_once` does, and `Invalid` for a bad key.
        """
        key = idempotency_key(exchange)
        if key is None:
            return write(await create(None))
        answered = await self._idempotency.run_once(
            create,
            owner=actor.user_id,
            key=key,
            digest=_digest(exchange.scope, body),
            render=lambda view: _pack(write(view)),
        )
        stored = _decoder.decode(answered.answer)
        headers = (*stored.headers, _REPLAYED) if answered.replayed else stored.headers
        return Response(stored.status, stored.body, headers)


def _pack(answer: Response) -> bytes:
    return _encoder.encode(_Stored(answer.status, answer.headers, answer.body))


def _digest(scope: Scope, body: bytes) -> bytes:
    target = f"{scope['method']} {scope['path']}\n".encode()
    return sha256(target + body).digest()
