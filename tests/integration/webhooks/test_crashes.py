"""A process that is killed in the middle of an attempt: the event arrives all the same, under the same id."""

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from application.shared.clock import Clock
from application.webhooks.deliver import LEASE
from domain.identity.user import User
from domain.posts.post import Post
from domain.posts.values import PostText
from domain.shared.ids import PostId, WebhookId
from domain.webhooks.delivery import DeliveryStatus
from entrypoints.container import Container
from entrypoints.storage import Storage
from tests.builders import a_user, a_webhook, an_actor, an_id
from tests.contracts.scenarios import given
from tests.contracts.test_webhooks import stored
from tests.integration.http.conftest import settings
from tests.integration.webhooks.receivers import answer, receiving, say_nothing

pytestmark = pytest.mark.untraced

ROOT = Path(__file__).parents[3]


class ShiftedClock(Clock):
    """The machine's clock, put forward."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by


async def publish(storage: Storage, author: User) -> None:
    at = datetime.now(UTC)
    text = PostText.parse("Hello")
    await given(storage, Post.publish(id=PostId(an_id(at)), by=an_actor(author), text=text, at=at))


def a_container(url: str, clock: Clock) -> Container:
    container = Container(settings=settings(DATABASE_URL=url, WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8"))
    container.clock.override(clock)
    return container


async def test_what_a_killed_process_was_sending_is_sent_by_another_when_its_claim_has_run_out(
    database_url: str,
) -> None:
    other = a_container(database_url, ShiftedClock(timedelta(0)))
    storage = other.storage()
    author = a_user()
    await given(storage, author)
    async with receiving(say_nothing) as hanging, receiving(answer("200 OK")) as healthy:
        # The secret is sealed by the installation's key, as the process will open it.
        id = WebhookId(an_id())
        sealed = other.webhook_secrets().new(owner=id).sealed
        webhook = a_webhook(f"http://127.0.0.1:{hanging.port}/", id=id, secret=sealed)
        await stored(storage, webhook)
        await publish(storage, author)

        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.webhooks.worker", database_url, cwd=ROOT, env={"PYTHONPATH": "src"}
        )
        try:
            async with asyncio.timeout(60):
                await hanging.came.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

        # Straight to a healthy place, which is nothing that happens in earnest: it only spares the test a time-out.
        async with storage.webhooks_units() as uow:
            kept = await uow.webhooks.get(webhook.id)
            kept.url = a_webhook(f"http://127.0.0.1:{healthy.port}/").url
            await uow.webhooks.save(kept)
            await uow.commit()
        assert await other.dispatcher().step() == 0, "the claim still holds"

        later = a_container(database_url, ShiftedClock(LEASE))
        assert await later.fan_out().step() == 0, "what was handed out is not handed out again"
        assert await later.dispatcher().step() == 1
        await later.dispatcher().drain()

        assert healthy.headers["webhook-id"] == hanging.headers["webhook-id"]
        assert healthy.bodies == hanging.bodies
        (delivery,) = (await storage.webhooks.deliveries(of=id, status=None, limit=9, before=None)).items
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.DELIVERED, 1)
        await later.storage().close()
    await storage.close()
