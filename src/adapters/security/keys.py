"""The keys of this installation, derived from its one secret."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class Key:
    """A symmetric key of 256 bits and its public name, which tells nothing of it."""

    id: str
    secret: bytes = field(repr=False)


class DerivedKeys:
    """Derives one independent key a purpose from `SECRET_KEY` with HKDF-SHA256 (RFC 5869).

    Whoever learns or breaks one of them learns nothing of the others. What each purpose is called is part of the
    stored state: a changed name makes all its tokens or cursors invalid.

    With a `previous_secret_key`, whatever that one sealed is still accepted where a list of keys is offered, the
    current one first; nothing new is sealed with it. The secrets themselves are not kept.
    """

    __slots__ = ("access_tokens", "cursors", "refresh_chain")

    access_tokens: tuple[Key, ...]
    cursors: tuple[Key, ...]
    refresh_chain: Key
    """Only the current one: see `refresh_tokens` for what that means for tokens from before a rotation."""

    def __init__(self, secret_key: str, previous_secret_key: str | None = None) -> None:
        if not secret_key or previous_secret_key == "":
            raise ValueError("the secret key is empty")
        secrets = [secret_key.encode()]
        if previous_secret_key is not None and previous_secret_key != secret_key:
            secrets.append(previous_secret_key.encode())
        self.access_tokens = tuple(_derive(secret, "access-token") for secret in secrets)
        self.cursors = tuple(_derive(secret, "cursor") for secret in secrets)
        self.refresh_chain = _derive(secrets[0], "refresh-chain")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.access_tokens)} secret keys)"


def _derive(secret: bytes, purpose: str) -> Key:
    material = HKDF(
        algorithm=SHA256(), length=_KEY_BYTES + _ID_BYTES, salt=None, info=f"postern/v1/{purpose}".encode()
    ).derive(secret)
    # HKDF's output bytes are independent of each other: publishing the last six gives nothing of the key away.
    return Key(id=material[_KEY_BYTES:].hex(), secret=material[:_KEY_BYTES])
