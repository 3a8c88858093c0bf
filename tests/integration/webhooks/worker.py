"""A process that sends webhooks, to be killed: `python -m tests.integration.webhooks.worker DATABASE_URL`."""

import asyncio
import sys

from entrypoints.container import Container
from tests.integration.http.conftest import settings


async def main(url: str) -> None:
    container = Container(settings=settings(DATABASE_URL=url, WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8"))
    while True:
        await container.fan_out().step()
        await container.dispatcher().step()
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
