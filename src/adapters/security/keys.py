"""The keys of this installation, derived from its one secret."""

from collections.abc import Sequence
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

    Each purpose has one key a secret: the current one's first, then those of `also_accepted`, which are secrets that
    were current or are about to be. Whatever was sealed with any of them is accepted; nothing new is sealed with
    another than the first. The secrets themselves are not kept.
    """

    __slots__ = ("access_tokens", "cursors", "pseudonyms", "refresh_chains", "secret_boxes", "stored_responses")

    access_tokens: tuple[Key, ...]
    cursors: tuple[Key, ...]
    stored_responses: tuple[Key, ...]
    pseudonyms: tuple[Key, ...]
    refresh_chains: tuple[Key, ...]
    secret_boxes: tuple[Key, ...]

    def __init__(self, secret_key: str, also_accepted: Sequence[str] = ()) -> None:
        if not secret_key or "" in also_accepted:
            raise ValueError("the secret key is empty")
        secrets = [secret.encode() for secret in dict.fromkeys((secret_key, *also_accepted))]
        self.access_tokens = tuple(_derive(secret, "access-token") for secret in secrets)
        self.cursors = tuple(_derive(secret, "cursor") for secret in secrets)
        self.stored_responses = tuple(_derive(secret, "kept-answer") for secret in secrets)
        self.pseudonyms = tuple(_derive(secret, "pseudonym") for secret in secrets)
        self.refresh_chains = tuple(_derive(secret, "refresh-chain") for secret in secrets)
        self.secret_boxes = tuple(_derive(secret, "secret-box") for secret in secrets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.access_tokens)} secret keys)"


def _derive(secret: bytes, purpose: str) -> Key:
    material = HKDF(
        algorithm=SHA256(), length=_KEY_BYTES + _ID_BYTES, salt=None, info=f"postern/v1/{purpose}".encode()
    ).derive(secret)
    # HKDF's output bytes are independent of each other: publishing the last six gives nothing of the key away.
    return Key(id=material[_KEY_BYTES:].hex(), secret=material[:_KEY_BYTES])
