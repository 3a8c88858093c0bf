"""Forged and malformed tokens, each against an application that signs with HS256 and one that signs with EdDSA.

None is accepted and none makes the server fail. The last tests make sure that the forger could have succeeded: with
nothing forged, a token made by the very same steps is accepted.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adapters.security.ed25519 import VerificationKey
from entrypoints.container import Container
from entrypoints.http.app import create_app
from tests.fakes import SettableClock
from tests.integration.http.conftest import PASSWORD, a_container, open_client

ME = "/api/v1/users/me"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PRIVATE_PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = PRIVATE.public_key()
PUBLIC_PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def b64(octets: bytes | str) -> str:
    raw = octets.encode() if isinstance(octets, str) else octets
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class Forge:
    """What an attacker has: genuine tokens of their own, and (against the odds) the key, to forge all the rest with."""

    token: str
    refresh_token: str
    api_key: str
    algorithm: str
    secret: bytes

    @property
    def parts(self) -> list[str]:
        return self.token.split(".")

    @property
    def header(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(unb64(self.parts[0]))
        return found

    @property
    def claims(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(unb64(self.parts[1]))
        return found

    def sign(self, header: str, payload: str) -> str:
        """Sign with the server's own key, whatever the header says."""
        signed = f"{header}.{payload}".encode()
        is_public = self.algorithm == "EdDSA"
        signature = PRIVATE.sign(signed) if is_public else hmac.digest(self.secret, signed, "sha256")
        return f"{header}.{payload}.{b64(signature)}"

    def with_header(self, **changes: Any) -> str:
        """Sign genuine claims under another header; None takes a member away."""
        members = {name: value for name, value in {**self.header, **changes}.items() if value is not None}
        return self.sign(b64(json.dumps(members, separators=(",", ":"))), self.parts[1])

    def with_claims(self, **changes: Any) -> str:
        members = {name: value for name, value in {**self.claims, **changes}.items() if value is not MISSING}
        return self.with_payload(json.dumps(members))

    def with_payload(self, payload: bytes | str) -> str:
        return self.sign(self.parts[0], b64(payload))

    def hmac_with(self, key: bytes, **header: Any) -> str:
        head = b64(json.dumps({**self.header, "alg": "HS256", **header}, separators=(",", ":")))
        signed = f"{head}.{self.parts[1]}"
        return f"{signed}.{b64(hmac.digest(key, signed.encode(), 'sha256'))}"

    def signed_by_stranger(self, **header: Any) -> str:
        head = b64(json.dumps({**self.header, "alg": "EdDSA", **header}, separators=(",", ":")))
        signed = f"{head}.{self.parts[1]}"
        return f"{signed}.{b64(STRANGER.sign(signed.encode()))}"


MISSING = object()
STRANGER_JWK = VerificationKey.of(STRANGER.public_key()).jwk()


def _with_claim(name: str, value: object) -> Callable[[Forge], str]:
    return lambda forge: forge.with_claims(**{name: value})


ATTACKS: dict[str, Callable[[Forge], str]] = {
    # No algorithm at all
    "alg none": lambda f: f.with_header(alg="none"),
    "alg none, unsigned": lambda f: f"{b64(json.dumps({**f.header, 'alg': 'none'}))}.{f.parts[1]}.",
    "alg nOnE, unsigned": lambda f: f"{b64(json.dumps({**f.header, 'alg': 'nOnE'}))}.{f.parts[1]}.",
    "alg None": lambda f: f.with_header(alg="None"),
    "alg empty": lambda f: f.with_header(alg=""),
    "alg missing": lambda f: f.with_header(alg=None),
    "alg a list": lambda f: f.with_header(alg=["HS256", "EdDSA"]),
    "alg a number": lambda f: f.with_header(alg=256),
    # Another algorithm
    "alg lower case": lambda f: f.with_header(alg=f.algorithm.lower()),
    "alg HS384": lambda f: f.with_header(alg="HS384"),
    "alg HS512": lambda f: f.with_header(alg="HS512"),
    "alg RS256": lambda f: f.with_header(alg="RS256"),
    "alg ES256": lambda f: f.with_header(alg="ES256"),
    "alg PS256": lambda f: f.with_header(alg="PS256"),
    "alg of the other kind": lambda f: f.with_header(alg="HS256" if f.algorithm == "EdDSA" else "EdDSA"),
    # Key confusion: the public key as a secret
    "HMAC with the public PEM": lambda f: f.hmac_with(PUBLIC_PEM),
    "HMAC with the public PEM, no line end": lambda f: f.hmac_with(PUBLIC_PEM.strip()),
    "HMAC with the raw public key": lambda f: f.hmac_with(PUBLIC.public_bytes_raw()),
    "HMAC with the public key, its kid": lambda f: f.hmac_with(
        PUBLIC.public_bytes_raw(), kid=VerificationKey.of(PUBLIC).id
    ),
    "HMAC with the JWK": lambda f: f.hmac_with(json.dumps(VerificationKey.of(PUBLIC).jwk()).encode()),
    "HMAC with nothing": lambda f: f.hmac_with(b""),
    "HMAC with zeros": lambda f: f.hmac_with(bytes(32)),
    "HMAC with the kid": lambda f: f.hmac_with(str(f.header["kid"]).encode()),
    # Somebody else's key, brought along
    "signed by a stranger": lambda f: f.signed_by_stranger(),
    "stranger's key as jwk": lambda f: f.signed_by_stranger(jwk=STRANGER_JWK),
    "stranger's key as jwk and kid": lambda f: f.signed_by_stranger(jwk=STRANGER_JWK, kid=STRANGER_JWK["kid"]),
    "jku": lambda f: f.with_header(jku="https://evil.example/jwks.json"),
    "x5u": lambda f: f.with_header(x5u="https://evil.example/chain.pem"),
    "x5c": lambda f: f.with_header(x5c=["MIIB"]),
    "x5t": lambda f: f.with_header(x5t="AAAA"),
    "jwk": lambda f: f.with_header(jwk=STRANGER_JWK),
    "crit": lambda f: f.with_header(crit=["exp"]),
    "crit of the unknown": lambda f: f.with_header(crit=["b64"], b64=False),
    "unencoded payload": lambda f: f.with_header(b64=False),
    "zip": lambda f: f.with_header(zip="DEF"),
    "cty JWT": lambda f: f.with_header(cty="JWT"),
    # The name of the key
    "kid missing": lambda f: f.with_header(kid=None),
    "kid empty": lambda f: f.with_header(kid=""),
    "kid a path": lambda f: f.with_header(kid="../../../../dev/null"),
    "kid SQL": lambda f: f.with_header(kid="x' UNION SELECT 'key"),
    "kid a command": lambda f: f.with_header(kid="|cat /etc/passwd"),
    "kid a list": lambda f: f.with_header(kid=[f.header["kid"]]),
    "kid null": lambda f: f.sign(b64(json.dumps({**f.header, "kid": None})), f.parts[1]),
    "kid with a NUL": lambda f: f.with_header(kid=f"{f.header['kid']}\x00"),
    # The type
    "typ JWT": lambda f: f.with_header(typ="JWT"),
    "typ missing": lambda f: f.with_header(typ=None),
    "typ of an ID token": lambda f: f.with_header(typ="id_token+jwt"),
    "typ upper case": lambda f: f.with_header(typ="AT+JWT"),
    # The header as text
    "header spaced": lambda f: f.sign(b64(json.dumps(f.header)), f.parts[1]),
    "header padded": lambda f: f.sign(f.parts[0] + "=", f.parts[1]),
    "header a list": lambda f: f.sign(b64("[]"), f.parts[1]),
    "header null": lambda f: f.sign(b64("null"), f.parts[1]),
    "header no JSON": lambda f: f.sign(b64("{"), f.parts[1]),
    "header invalid UTF-8": lambda f: f.sign(b64(b'{"alg":"\xff"}'), f.parts[1]),
    "header member twice": lambda f: f.sign(b64('{"alg":"none",' + unb64(f.parts[0]).decode()[1:]), f.parts[1]),
    "header nested deeply": lambda f: f.sign(b64('{"alg":' + "[" * 500 + "]" * 500 + "}"), f.parts[1]),
    # Claims, one by one
    **{
        f"{name} missing": _with_claim(name, MISSING)
        for name in ("iss", "aud", "sub", "sid", "role", "iat", "exp", "jti")
    },
    **{f"{name} null": _with_claim(name, None) for name in ("iss", "aud", "sub", "sid", "role", "iat", "exp", "jti")},
    "iss another": lambda f: f.with_claims(iss="https://evil.example"),
    "aud another": lambda f: f.with_claims(aud="somebody else"),
    "aud a list": lambda f: f.with_claims(aud=[f.claims["aud"]]),
    "aud empty": lambda f: f.with_claims(aud=""),
    "sub a number": lambda f: f.with_claims(sub=1),
    "sub no UUID": lambda f: f.with_claims(sub="admin"),
    "sub in braces": lambda f: f.with_claims(sub="{" + str(f.claims["sub"]) + "}"),
    "sub upper case": lambda f: f.with_claims(sub=str(f.claims["sub"]).upper()),
    "sub SQL": lambda f: f.with_claims(sub="' OR 1=1 --"),
    "sid no UUID": lambda f: f.with_claims(sid="x"),
    "role unknown": lambda f: f.with_claims(role="root"),
    "role a list": lambda f: f.with_claims(role=["admin"]),
    "role upper case": lambda f: f.with_claims(role="ADMIN"),
    "exp past": lambda f: f.with_claims(exp=f.claims["iat"] - 1),
    "exp now": lambda f: f.with_claims(exp=f.claims["iat"]),
    "exp a text": lambda f: f.with_claims(exp="9999999999"),
    "exp a float": lambda f: f.with_claims(exp=9999999999.5),
    "exp true": lambda f: f.with_claims(exp=True),
    "exp negative": lambda f: f.with_claims(exp=-1),
    "exp NaN": lambda f: f.with_payload(json.dumps({**f.claims, "exp": float("nan")})),
    "exp infinite": lambda f: f.with_payload(json.dumps({**f.claims, "exp": float("inf")})),
    "exp 1e999": lambda f: f.with_payload(json.dumps(f.claims).replace(str(f.claims["exp"]), "1e999")),
    "exp of 2000 digits": lambda f: f.with_payload(
        json.dumps(f.claims).replace(str(f.claims["exp"]), "-" + "9" * 2000)
    ),
    "exp 2**63, iat in the future": lambda f: f.with_claims(exp=2**63, iat=2**62),
    "iat in the future": lambda f: f.with_claims(iat=f.claims["iat"] + 3600, exp=f.claims["exp"] + 3600),
    "iat a text": lambda f: f.with_claims(iat="now"),
    "iat huge": lambda f: f.with_claims(iat=10**400),
    "jti empty": lambda f: f.with_claims(jti=""),
    "jti a number": lambda f: f.with_claims(jti=7),
    "jti no generation": lambda f: f.with_claims(jti="x"),
    "jti of another session": lambda f: f.with_claims(jti="0" * 32 + ".0"),
    "jti endless": lambda f: f.with_claims(jti="x" * 1000),
    # The claims as text
    "claims a list": lambda f: f.with_payload("[]"),
    "claims a text": lambda f: f.with_payload('"claims"'),
    "claims null": lambda f: f.with_payload("null"),
    "claims empty": lambda f: f.with_payload(""),
    "claims no JSON": lambda f: f.with_payload("{"),
    "claims invalid UTF-8": lambda f: f.with_payload(b'{"sub":"\xff\xfe"}'),
    "claims in UTF-16": lambda f: f.with_payload(json.dumps(f.claims).encode("utf-16")),
    "claim twice": lambda f: f.with_payload(
        json.dumps(f.claims)[:-1] + f',"role":"admin","sub":{json.dumps(f.claims["sub"])}}}'
    ),
    "claim twice, the same": lambda f: f.with_payload(
        json.dumps(f.claims)[:-1] + f',"sub":{json.dumps(f.claims["sub"])}}}'
    ),
    "claims nested deeply": lambda f: f.with_payload('{"x":' + "[" * 900 + "]" * 900 + "}"),
    "claims oversize": lambda f: f.with_payload(json.dumps({**f.claims, "x": "x" * 5000})),
    # The token as text
    "signature missing": lambda f: ".".join(f.parts[:2]),
    "signature empty": lambda f: ".".join(f.parts[:2]) + ".",
    "signature truncated": lambda f: f.token[:-4],
    "signature of one bit less": lambda f: f.token[:-6] + ("A" if f.token[-6] != "A" else "B") + f.token[-5:],
    "signature longer": lambda f: f.token + "AAAA",
    "signature padded": lambda f: f.token + "=",
    "signature of another token": lambda f: ".".join(
        [f.parts[0], b64(json.dumps({**f.claims, "role": "admin"})), f.parts[2]]
    ),
    "payload truncated": lambda f: ".".join([f.parts[0], f.parts[1][:-3], f.parts[2]]),
    "four parts": lambda f: f.token + ".AAAA",
    "five parts, as if encrypted": lambda f: f.token + ".AAAA.AAAA",
    "two dots": lambda _: "..",
    "one dot": lambda _: ".",
    "a word": lambda _: "token",
    "the string undefined": lambda _: "undefined",
    "the token twice": lambda f: f.token + f.token,
    "the token in quotes": lambda f: f'"{f.token}"',
    "the token with a blank": lambda f: f"{f.parts[0]} .{f.parts[1]}.{f.parts[2]}",
    "the token with a tab in front": lambda f: f"\t{f.token}",
    "the token and a comma": lambda f: f"{f.token},",
    "standard base64": lambda f: f.token.replace("-", "+").replace("_", "/") + "+",
    "invalid UTF-8 bytes": lambda f: f.token + "\xff\xfe",
    "oversize": lambda f: f.token + "A" * 5000,
    "a header of 12 KiB": lambda f: "A" * 12_000,
    # Other kinds of token
    "a refresh token": lambda f: f.refresh_token,
    "a refresh token as signature": lambda f: f"{f.parts[0]}.{f.parts[1]}.{f.refresh_token}",
    "an API key with one letter changed": lambda f: (
        f.api_key[:-8] + ("A" if f.api_key[-8] != "A" else "B") + f.api_key[-7:]
    ),
    "an API key without its checksum": lambda f: f.api_key[:-6],
    "an API key in capitals": lambda f: f.api_key.upper(),
    "an API key as claims": lambda f: f.with_payload(f.api_key),
    "a made-up API key": lambda _: "pk_" + "A" * 49,
    "the prefix alone": lambda _: "pk_",
    "the password": lambda _: PASSWORD.replace(" ", "+"),
    "the user's id": lambda f: str(f.claims["sub"]),
    "the session's id": lambda f: str(f.claims["sid"]),
    # Sealed with what is published
    "HMAC with a hash of the public key": lambda f: f.hmac_with(hashlib.sha256(PUBLIC_PEM).digest()),
}


@pytest.fixture(scope="module", params=["HS256", "EdDSA"])
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def container(clock: SettableClock, algorithm: str) -> Container:
    return a_container(clock, **({"JWT_PRIVATE_KEY": PRIVATE_PEM} if algorithm == "EdDSA" else {}))


@pytest.fixture
async def client(container: Container) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(create_app(container)) as opened:
        yield opened


@pytest.fixture
async def forge(client: httpx.AsyncClient, container: Container, algorithm: str) -> Forge:
    body = {"email": "mallory@example.com", "password": PASSWORD}
    pair = (await client.post("/api/v1/auth/signup", json=body)).json()
    key = await client.post(
        "/api/v1/auth/api-keys",
        json={"password": PASSWORD, "name": "x", "scopes": ["posts:read"]},
        headers={"authorization": f"Bearer {pair['access_token']}"},
    )
    secret = container.keys().access_tokens[0].secret
    return Forge(pair["access_token"], pair["refresh_token"], key.json()["key"], algorithm, secret)


async def present(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get(ME, headers=[(b"authorization", b"Bearer " + token.encode("latin-1", "replace"))])


async def test_no_forged_or_malformed_token_is_accepted_and_none_is_a_failure_of_ours(
    client: httpx.AsyncClient, forge: Forge
) -> None:
    statuses = {name: (await present(client, attack(forge))).status_code for name, attack in ATTACKS.items()}

    assert len(statuses) >= 60
    assert {name: status for name, status in statuses.items() if status != 401} == {}


@pytest.mark.parametrize("path", ["/api/v1/posts", "/api/v1/users/me/posts"])
async def test_nor_anywhere_else(client: httpx.AsyncClient, forge: Forge, path: str) -> None:
    for name, attack in ATTACKS.items():
        value = b"Bearer " + attack(forge).encode("latin-1", "replace")
        response = await client.get(path, headers=[(b"authorization", value)])
        assert response.status_code == 401, name


async def test_an_access_token_refreshes_nothing(client: httpx.AsyncClient, forge: Forge) -> None:
    for token in (forge.token, forge.api_key, forge.refresh_token + "A", forge.refresh_token[:-1], forge.token * 50):
        response = await client.post("/api/v1/auth/refresh", json={"refresh_token": token})
        assert response.status_code == 401


async def test_no_answer_tells_why(client: httpx.AsyncClient, forge: Forge) -> None:
    answers = set()
    for attack in ATTACKS.values():
        value = b"Bearer " + attack(forge).encode("latin-1", "replace")
        response = await client.get(ME, headers=[(b"authorization", value), (b"x-request-id", b"one")])
        answers.add(response.text)
    assert len(answers) == 1


async def test_the_forger_could_have_succeeded(client: httpx.AsyncClient, forge: Forge) -> None:
    assert (await present(client, forge.token)).status_code == 200
    assert (await present(client, forge.sign(forge.parts[0], forge.parts[1]))).status_code == 200
    assert (await present(client, forge.with_header())).status_code == 200
    assert (await present(client, forge.with_claims())).status_code == 200
    assert forge.with_claims(role="user") != forge.token


async def test_a_genuine_token_ends_with_its_time(
    client: httpx.AsyncClient, forge: Forge, clock: SettableClock
) -> None:
    clock.advance(timedelta(seconds=1799))
    assert (await present(client, forge.with_claims())).status_code == 200
    clock.advance(timedelta(seconds=1))
    assert (await present(client, forge.with_claims())).status_code == 401
