"""Tokens of many people at once: they are the product's own, of sessions that it knows."""

import secrets
from pathlib import Path
from uuid import UUID

import pytest

from bench.inprocess import asked, in_process
from bench.limits import out_of_the_way
from bench.tokens import sign_in
from entrypoints.settings import Settings

SECRET = secrets.token_urlsafe(48)


@pytest.mark.slow  # It starts the product.
async def test_a_token_without_a_password_is_one_of_a_session_that_can_be_ended(tmp_path: Path) -> None:
    async with in_process(tmp_path, SECRET_KEY=SECRET) as product:
        known = await product.sign_up("somebody")
        me = (await product.ask(asked("GET", "/api/v1/users/me", token=known))).json()
        url = f"sqlite+aiosqlite:///{product.file}"
        environment = {"ENVIRONMENT": "production", "SECRET_KEY": SECRET, "DATABASE_URL": url, **out_of_the_way()}
        [token] = await sign_in([UUID(me["id"])], Settings.load(environment))
        assert (await product.ask(asked("GET", "/api/v1/users/me", token=token))).json()["id"] == me["id"]
        listed = (await product.ask(asked("GET", "/api/v1/auth/sessions", token=token))).json()
        assert [each["user_agent"] for each in listed["items"] if each["current"]] == ["bench"]
