"""Secrets of webhooks, and signatures after Standard Webhooks."""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

import application.identity.credentials as boxes
from adapters.security.secret_box import AesGcmSecretBox
from application.webhooks.ports import NewSecret, SecretUnreadable, WebhookSecrets
from domain.shared.ids import WebhookId

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with, not one
_SECRET_BYTES: Final = 32
"""Standard Webhooks wants 24 to 64."""


class SealedWebhookSecrets(WebhookSecrets):
    """Random secrets, sealed for the endpoint that they belong to."""

    def __init__(self, box: AesGcmSecretBox) -> None:
        self._box = box

    def new(self, *, owner: WebhookId) -> NewSecret:
        text = SECRET_PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        return NewSecret(text, self._box.seal(text, owner=owner))

    def sign(self, sealed: Sequence[bytes], *, owner: WebhookId, id: str, timestamp: int, body: bytes) -> str:
        first, *others = sealed
        try:
            opened = [self._box.open(first, owner=owner)]
        except boxes.SecretUnreadable as error:
            raise SecretUnreadable(str(error)) from None
        for other in others:
            with suppress(boxes.SecretUnreadable):
                opened.append(self._box.open(other, owner=owner))
        return " ".join(signature(text, id=id, timestamp=timestamp, body=body) for text in opened)


def signature(secret: str, *, id: str, timestamp: int, body: bytes) -> str:
    """Return `v1,` and the HMAC-SHA256 of id, timestamp and body, in base64 (Standard Webhooks, symmetric)."""
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + b64encode(hmac.digest(key, f"{id}.{timestamp}.".encode() + body, sha256)).decode()
