"""Signatures after Standard Webhooks, held against its reference implementation."""

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from adapters.security.keys import DerivedKeys
from adapters.security.secret_box import AesGcmSecretBox
from adapters.security.webhook_secrets import SealedWebhookSecrets, signature
from application.webhooks.ports import SecretUnreadable
from domain.shared.ids import WebhookId
from tests.builders import an_id

OWNER = WebhookId(an_id())


def a_vault(secret_key: str = "k" * 48, *, also_accepted: tuple[str, ...] = ()) -> SealedWebhookSecrets:
    return SealedWebhookSecrets(AesGcmSecretBox(keys=DerivedKeys(secret_key, also_accepted)))


def test_the_published_vector_comes_out() -> None:
    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_reference_implementation_accepts_what_is_signed_and_nothing_altered() -> None:
    vault = a_vault()
    secret = vault.new(owner=OWNER)
    now = int(datetime.now(UTC).timestamp())
    body = '{"id": "ß"}'.encode()
    signed = vault.sign([secret.sealed], owner=OWNER, id="an-id", timestamp=now, body=body)
    headers = {"webhook-id": "an-id", "webhook-timestamp": str(now), "webhook-signature": signed}

    assert Webhook(secret.text).verify(body, headers) == {"id": "ß"}
    for name, value in (("webhook-id", "another"), ("webhook-timestamp", str(now + 1))):
        with pytest.raises(Exception, match="No matching signature"):
            Webhook(secret.text).verify(body, {**headers, name: value})


def test_two_secrets_make_two_signatures_and_either_is_enough() -> None:
    vault = a_vault()
    new, old = vault.new(owner=OWNER), vault.new(owner=OWNER)
    now = int(datetime.now(UTC).timestamp())
    signed = vault.sign([new.sealed, old.sealed], owner=OWNER, id="i", timestamp=now, body=b"{}")
    headers = {"webhook-id": "i", "webhook-timestamp": str(now), "webhook-signature": signed}
    assert [Webhook(secret.text).verify(b"{}", headers) for secret in (new, old)] == [{}, {}]


def test_a_secret_is_sealed_for_its_endpoint_and_by_the_key_of_the_installation() -> None:
    vault = a_vault()
    secret = vault.new(owner=OWNER)
    assert secret.text.encode() not in secret.sealed
    assert secret.text not in repr(secret)
    with pytest.raises(SecretUnreadable):
        vault.sign([secret.sealed], owner=WebhookId(an_id()), id="i", timestamp=1, body=b"")
    with pytest.raises(SecretUnreadable):
        a_vault("another" * 8).sign([secret.sealed], owner=OWNER, id="i", timestamp=1, body=b"")
    rotated = a_vault("another" * 8, also_accepted=("k" * 48,))
    assert rotated.sign([secret.sealed], owner=OWNER, id="i", timestamp=1, body=b"").startswith("v1,")


def test_an_old_secret_that_cannot_be_read_any_more_is_left_out() -> None:
    vault, before = a_vault(), a_vault("another" * 8)
    secrets = [vault.new(owner=OWNER).sealed, before.new(owner=OWNER).sealed]
    assert len(vault.sign(secrets, owner=OWNER, id="i", timestamp=1, body=b"").split(" ")) == 1
