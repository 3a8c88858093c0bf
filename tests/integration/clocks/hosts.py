"""An instance of the application in this process, asked as its clients ask it."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from entrypoints.container import Container
from entrypoints.settings import Settings

PASSWORD = "a quiet harbour at dawn"
API = "/api/v1"


def settings(url: str) -> Settings:
    return Settings.load(
        {
            "ENVIRONMENT": "testing",
            "DATABASE_URL": url,
            "SECRET_KEY": "the same key for all instances, 48 bytes or more of it",
            "ALLOWED_HOSTS": "testserver",
            "RATE_LIMIT_ENABLED": "false",
            "REQUEST_LOG": "false",
            "FEED_CACHE_SECONDS": "0",
            "PASSWORD_HASH_MEMORY_KIB": "8192",
            "PASSWORD_HASH_ITERATIONS": "1",
        }
    )


@dataclass
class Host:
    container: Container
    client: httpx.AsyncClient

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, status: int = 200, **headers: str
    ) -> Any:
        authorization = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = await self.client.request(method, f"{API}{path}", json=body, headers={**authorization, **headers})
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


async def signed_up(host: Host) -> Any:
    return await host.ask(
        "POST", "/auth/signup", {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}, status=201
    )
