"""The public keys of access tokens, for services that verify them by themselves."""

from typing import Annotated, Final

import msgspec

from adapters.security.ed25519 import SigningKeys
from entrypoints.http.edge.conditional import bytes_tag, representation
from entrypoints.http.edge.exchange import Exchange, Response
from entrypoints.http.edge.operation import Operation
from entrypoints.http.edge.paging import refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint
from entrypoints.http.problems.errors import NotConfigured


class JsonWebKey(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: Annotated[str, msgspec.Meta(description="The thumbprint of RFC 7638.")]
    use: str
    alg: str


class JsonWebKeySet(msgspec.Struct, frozen=True, kw_only=True):
    """Every key that access tokens may be signed with (RFC 7517)."""

    keys: list[JsonWebKey]


JWKS: Final = Operation(
    id="getJsonWebKeySet",
    summary="Read the public keys of access tokens",
    tag="system",
    description="For services that verify access tokens by themselves. Without `JWT_PRIVATE_KEY` tokens are signed "
    "with a key that is nobody else's to know, and there is nothing to publish.",
    answer=JsonWebKeySet,
    answer_description="The keys; the first one signs.",
    cacheable=True,
    stores=False,
    is_api=False,
    raises=(NotConfigured,),
)
_FOR_FIVE_MINUTES: Final = ((b"cache-control", b"public, max-age=300"),)


class JwksRoutes:
    def __init__(self, keys: SigningKeys | None) -> None:
        self._body = None if keys is None else msgspec.json.encode(keys.jwks())

    def handlers(self) -> list[Registration]:
        return [endpoint("GET", "/.well-known/jwks.json", JWKS)(self.read)]

    async def read(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        if self._body is None:
            raise NotConfigured("Access tokens are signed with HS256, so there are no public keys.")
        return representation(exchange, self._body, bytes_tag(self._body), _FOR_FIVE_MINUTES)
