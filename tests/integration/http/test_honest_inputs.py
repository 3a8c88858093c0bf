"""What people in earnest send, and what they are told: each sentence of it is seen here over HTTP."""

import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.shared.actor import Role
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.exchange import Application
from tests.fakes import SettableClock
from tests.integration.http.conftest import BASE, PASSWORD, Account, SignUp, a_container, faults, problem, publish
from tests.integration.http.test_administration import with_role

HOST_LABEL = "h" * 63


class TestEmailAddresses:
    """RFC 5321, section 4.5.3.1: 64 bytes before the @, 253 behind it, 63 between two dots."""

    LONG = (
        f"{'a' * 65}@example.com",
        f"{'é' * 33}@example.com",
        f"a@{'h' * 64}.com",
        f"a@{'.'.join([HOST_LABEL] * 4)}.com",
    )

    @pytest.mark.parametrize("email", LONG)
    async def test_a_sign_up_refuses_long_parts(self, client: httpx.AsyncClient, email: str) -> None:
        refused = await client.post("/api/v1/auth/signup", json={"email": email, "password": PASSWORD})

        assert (problem(refused), faults(refused)) == ((400, "invalid-input"), {"/email": "format"})

    async def test_64_bytes_before_the_at_are_welcome(self, client: httpx.AsyncClient) -> None:
        body = {"email": f"{'a' * 64}@example.com", "password": PASSWORD}

        assert (await client.post("/api/v1/auth/signup", json=body)).status_code == 201

    async def test_the_refusal_says_what_is_too_long(self, client: httpx.AsyncClient) -> None:
        refused = await client.post("/api/v1/auth/signup", json={"email": self.LONG[0], "password": PASSWORD})

        assert "at most 64 bytes may stand before the @" in refused.json()["detail"]

    @pytest.mark.parametrize("email", LONG)
    async def test_to_a_log_in_such_an_address_is_as_good_as_unknown(
        self, client: httpx.AsyncClient, email: str
    ) -> None:
        log_in = await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        forgot = await client.post("/api/v1/auth/password/forgot", json={"email": email})

        assert problem(log_in) == (401, "invalid-credentials")
        assert forgot.status_code == 202


class TestTimes:
    """RFC 3339, section 5.6, wherever a time is read."""

    SAME = (
        "2026-11-21T09:30:00Z",
        "2026-11-21t09:30:00z",
        "2026-11-21T09:30:00.0Z",
        "2026-11-21T09:30:00.000000000Z",
        "2026-11-21T10:30:00.00+01:00",
        "2026-11-21T09:30:00-00:00",
        "2026-11-20T23:45:00.000-09:45",
    )

    @pytest.fixture
    def clock(self) -> SettableClock:
        return SettableClock(datetime(2026, 11, 21, 9, 30, tzinfo=UTC))

    async def found(self, client: httpx.AsyncClient, **query: str) -> bool:
        answer = await client.get("/api/v1/posts", params=query)
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["items"])

    @pytest.mark.parametrize("written", SAME)
    async def test_every_way_to_write_a_time_means_it(
        self, client: httpx.AsyncClient, alice: Account, written: str
    ) -> None:
        await publish(client, alice)

        assert await self.found(client, since=written)
        assert not await self.found(client, until=written)

    @pytest.mark.parametrize("fraction", ["1", "000001", "000000001", "0" * 69 + "1"])
    async def test_any_fraction_lies_after_the_whole_second(
        self, client: httpx.AsyncClient, alice: Account, fraction: str
    ) -> None:
        await publish(client, alice)

        assert not await self.found(client, since=f"2026-11-21T09:30:00.{fraction}Z")
        assert await self.found(client, until=f"2026-11-21T09:30:00.{fraction}Z")

    @pytest.mark.parametrize(
        "written",
        [
            "2026-11-21",
            "2026-11-21T09:30:00",
            "2026-11-21T09:30:00.Z",
            "2026-11-21T09:30Z",
            "2026-11-21T09:30:60Z",
            "2026-11-21T24:00:00Z",
            "2026-02-30T00:00:00Z",
            f"2026-11-21T09:30:00.{'0' * 71}Z",
            "9999-12-31T23:59:59.9999999Z",
            "2026-11-21T09:30:00,5Z",
        ],
    )
    async def test_what_is_no_time_is_refused_everywhere(
        self, client: httpx.AsyncClient, alice: Account, written: str
    ) -> None:
        key = {"password": PASSWORD, "name": "x", "scopes": ["posts:read"], "expires_at": written}
        query = await client.get("/api/v1/posts", params={"since": written})
        body = await client.post("/api/v1/auth/api-keys", json=key, headers=alice.auth)

        assert (query.status_code, body.status_code) == (400, 400)
        assert list(faults(query)) == ["?since"]
        assert list(faults(body)) == ["/expires_at"]

    async def test_a_leap_second_is_the_second_after_it(self, client: httpx.AsyncClient, alice: Account) -> None:
        await publish(client, alice)

        assert await self.found(client, since="2016-12-31T23:59:60Z", until="2027-01-01T00:59:60.5+01:00")

    async def test_a_plus_that_became_a_blank_is_explained(self, client: httpx.AsyncClient) -> None:
        refused = await client.get("/api/v1/posts?since=2026-11-21T09:30:00+01:00")

        assert problem(refused) == (400, "invalid-input")
        assert "a + in a query is written %2B" in refused.json()["detail"]

    @pytest.mark.parametrize("written", ["2027-01-01T00:00:00.123456789z", "2026-12-31T23:59:60Z"])
    async def test_a_key_expires_at_any_time_of_rfc_3339(
        self, client: httpx.AsyncClient, alice: Account, written: str
    ) -> None:
        key = {"password": PASSWORD, "name": "x", "scopes": ["posts:read"], "expires_at": written}
        made = await client.post("/api/v1/auth/api-keys", json=key, headers=alice.auth)

        assert made.status_code == 201, made.text
        assert made.json()["expires_at"].startswith("2027-01-01T00:00:00.")

    @pytest.mark.parametrize(
        ("written", "code"),
        [
            ("2026-11-20T00:00:00.123456789z", None),
            ("2016-12-31T23:59:60Z", None),
            ("2026-11-20", "format"),
            ("1969-12-31T23:59:59Z", "range"),
        ],
    )
    async def test_failed_deliveries_are_replayed_since_any_time(
        self, container: Container, client: httpx.AsyncClient, alice: Account, written: str, code: str | None
    ) -> None:
        admin = await with_role(container, client, alice, Role.ADMIN)
        hook = {"url": "https://hooks.example.com/in", "event_types": ["*"]}
        made = await client.post("/api/v1/webhooks", json=hook, headers=admin.auth)
        path = f"{made.headers['location']}/deliveries/replay"
        answer = await client.post(path, json={"since": written}, headers=admin.auth)

        if code is None:
            assert answer.is_success, answer.text
        else:
            assert faults(answer) == {"/since": code}


class TestAddressesBehindProxies:
    """`X-Forwarded-For` with ports and `Forwarded` (RFC 7239), from trusted proxies alone."""

    PROXY, STRANGER = "10.1.2.3", "198.51.100.200"

    def app(self, clock: SettableClock, **overrides: str) -> Application:
        return create_app(a_container(clock, TRUSTED_PROXIES="10.0.0.0/8", **overrides))

    def at(self, app: Any, peer: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 4711)), base_url=BASE)

    async def seen(self, clock: SettableClock, headers: dict[str, str], *, peer: str = PROXY, **overrides: str) -> str:
        """Sign somebody up, and return the address that the session says it was opened from."""
        async with self.at(self.app(clock, **overrides), peer) as client:
            signed_up = await client.post(
                "/api/v1/auth/signup", json={"email": "alice@example.com", "password": PASSWORD}, headers=headers
            )
            token = signed_up.json()["access_token"]
            sessions = await client.get("/api/v1/auth/sessions", headers={"authorization": f"Bearer {token}"})
            return str(sessions.json()["items"][0]["address"])

    @pytest.mark.parametrize(
        ("headers", "client"),
        [
            ({"x-forwarded-for": "203.0.113.9:51234"}, "203.0.113.9"),
            ({"x-forwarded-for": "[2001:db8::1]:443"}, "2001:db8::1"),
            ({"forwarded": 'for="[2001:db8:cafe::17]:4711";proto=https'}, "2001:db8:cafe::17"),
            ({"forwarded": "for=192.0.2.43, for=203.0.113.9"}, "203.0.113.9"),
            ({"forwarded": "for=6.6.6.6", "x-forwarded-for": "203.0.113.9:1"}, "203.0.113.9"),
            ({"forwarded": "for=_hidden"}, PROXY),
        ],
    )
    async def test_a_session_is_opened_from_the_clients_address(
        self, clock: SettableClock, headers: dict[str, str], client: str
    ) -> None:
        assert await self.seen(clock, headers) == client
        assert await self.seen(clock, headers, peer=self.STRANGER) == self.STRANGER

    async def test_the_audit_trail_goes_by_it(self, clock: SettableClock) -> None:
        container = a_container(clock, TRUSTED_PROXIES="10.0.0.0/8")
        wrong = {"email": "alice@example.com", "password": "not this one at all"}
        async with self.at(create_app(container), self.PROXY) as client:
            body = {**wrong, "password": PASSWORD, "username": "alice"}
            me = (await client.post("/api/v1/auth/signup", json=body)).json()
            alice = Account(me["user"]["id"], body["email"], "alice", me["access_token"], me["refresh_token"])
            admin = await with_role(container, client, alice, Role.ADMIN)
            forwarded = {"forwarded": 'for="[2001:db8:cafe::17]:4711"'}
            await client.post("/api/v1/auth/login", json=wrong, headers=forwarded)
            trail = (await client.get("/api/v1/audit", headers=admin.auth)).json()["items"]

        assert [entry["address"] for entry in trail if entry["event"] == "login.failed"] == ["2001:db8:cafe::17"]

    async def test_the_field_that_the_proxy_writes_is_the_one_that_counts(self, clock: SettableClock) -> None:
        both = {"forwarded": "for=203.0.113.9", "x-forwarded-for": "6.6.6.6"}

        assert await self.seen(clock, both, TRUSTED_PROXY_HEADER="forwarded") == "203.0.113.9"
        assert await self.seen(clock, both, TRUSTED_PROXY_HEADER="x-forwarded-for") == "6.6.6.6"

    async def test_limits_go_by_it_and_cannot_be_talked_out_of(self, clock: SettableClock) -> None:
        app = self.app(clock, RATE_LIMIT_ENABLED="true", RATE_LIMIT_ADDRESS="1/minute")

        async def status(headers: dict[str, str], peer: str = self.PROXY) -> int:
            async with self.at(app, peer) as client:
                return (await client.get("/api/v1/posts", headers=headers)).status_code

        assert await status({"x-forwarded-for": "203.0.113.9:1"}) == 200
        assert await status({"x-forwarded-for": "203.0.113.9:2"}) == 429  # another port is the same client
        assert await status({"forwarded": 'for="203.0.113.9:3"'}) == 429
        assert await status({"forwarded": 'for="6.6.6.6, for=203.0.113.9'}) == 429  # a quotation mark left open
        assert await status({"forwarded": "for=6.6.6.6", "x-forwarded-for": "203.0.113.9"}) == 429
        assert [await status({"forwarded": f"for=192.0.2.{n}"}, self.STRANGER) for n in (1, 2)] == [200, 429]


class TestRefusalsSayWhatIsTrue:
    EVENTS, POSTS, ME = "/api/v1/events", "/api/v1/posts", "/api/v1/users/me"
    JSON = "application/json"

    async def test_406_on_the_stream_of_events_names_the_type_of_the_stream(self, client: httpx.AsyncClient) -> None:
        refused = await client.get(self.EVENTS, headers={"accept": self.JSON})

        assert problem(refused) == (406, "not-acceptable")
        assert refused.json()["detail"] == "It is only available as text/event-stream."
        assert self.JSON not in refused.text

    @pytest.mark.parametrize("path", [POSTS, ME, "/api/v1/auth/login", "/api/v1/nowhere"])
    async def test_406_everywhere_else_names_json(self, client: httpx.AsyncClient, path: str) -> None:
        refused = await client.get(path, headers={"accept": "text/html"})

        assert problem(refused) == (406, "not-acceptable")
        assert refused.json()["detail"] == "It is only available as application/json."

    @pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/problems", "/health", "/metrics"])
    @pytest.mark.parametrize("accept", ["image/png", "application/json", "text/html"])
    async def test_what_has_another_type_is_never_refused_as_json(
        self, client: httpx.AsyncClient, path: str, accept: str
    ) -> None:
        assert (await client.get(path, headers={"accept": accept})).status_code == 200

    @pytest.mark.parametrize(
        ("media_type", "said"),
        [
            ("", "Content-Type is missing"),
            ("text/plain", "'text/plain'"),
            ("Text/Plain;charset=utf-8", "'Text/Plain'"),
            ("application/json; charset=latin-1", "another charset"),
            ("application/json;charset=utf-16", "another charset"),
            ("application/json;;!", "cannot be read"),
        ],
    )
    async def test_415_says_what_is_wrong_with_the_type(
        self, client: httpx.AsyncClient, alice: Account, media_type: str, said: str
    ) -> None:
        headers = {**alice.auth, "content-type": media_type}
        refused = await client.post(self.POSTS, content=b'{"text":"a"}', headers=headers)

        assert problem(refused) == (415, "unsupported-media-type")
        assert refused.headers["accept"] == self.JSON
        assert said in refused.json()["detail"]


class TestLoneSurrogates:
    """RFC 8259, section 8.2: `\\ud800` alone stands for no character."""

    @pytest.mark.parametrize(
        "body",
        [
            rb'{"text":"\ud800"}', rb'{"text":"a\uD83D b"}', rb'{"text":"\udc00"}', rb'{"text":"\ud800\u0041"}',
            rb'{"text":"\ud800\ud800"}', rb'{"\ud800":1}', rb'{"text":"\\\ud800"}', rb'["\ud83d\ude00\ud83d"]',
        ],
    )  # fmt: skip
    async def test_they_are_called_by_their_name(self, client: httpx.AsyncClient, alice: Account, body: bytes) -> None:
        headers = {**alice.auth, "content-type": "application/json"}
        refused = await client.post("/api/v1/posts", content=body, headers=headers)

        assert (problem(refused), faults(refused)) == ((400, "malformed-body"), {"": "surrogate"})
        assert "half of a surrogate pair" in refused.json()["detail"]

    @pytest.mark.parametrize(
        "body", [rb'{"text":"\ud83d\ude00', rb'{"text":"\\ud800', rb'{"text":"\ud8', b'{"text":"a']
    )
    async def test_a_body_that_is_cut_off_is_not_taken_for_one(
        self, client: httpx.AsyncClient, alice: Account, body: bytes
    ) -> None:
        headers = {**alice.auth, "content-type": "application/json"}
        refused = await client.post("/api/v1/posts", content=body, headers=headers)

        assert (problem(refused), faults(refused)) == ((400, "malformed-body"), {"": "json"})

    async def test_whole_pairs_are_characters(self, client: httpx.AsyncClient, alice: Account) -> None:
        headers = {**alice.auth, "content-type": "application/json"}
        created = await client.post("/api/v1/posts", content=rb'{"text":"\ud83d\ude00 \\ud800"}', headers=headers)

        assert created.json()["text"] == "\U0001f600 \\ud800"


class TestStrictTransportSecurity:
    """RFC 6797: in staging and production, on every answer."""

    ORIGIN = "https://app.example.com"
    FIELD = "strict-transport-security"

    async def answers(self, clock: SettableClock, folder: Path, **overrides: str) -> list[httpx.Response]:
        deployed = {
            "DATABASE_URL": f"sqlite:///{folder / 'postern.db'}",
            "SECRET_KEY": "qX3v9Zt0mB7kR2pLh8sJd4fGc6uEa1oWiVyTzQnM5xUe",
            "RATE_LIMIT_ENABLED": "true",
        }
        app = create_app(a_container(clock, **deployed, **overrides))
        cors = {"origin": self.ORIGIN, "access-control-request-method": "GET"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
            return [
                await client.get("/health/live"),
                await client.head("/health/live"),
                await client.get("/health/live", headers={"origin": self.ORIGIN}),
                await client.get("/docs"),
                await client.get("/nowhere"),
                await client.get("/api/v1/posts", headers={"accept": "text/html"}),
                await client.get("/api/v1/users/me"),
                await client.post("/api/v1/posts", headers={"content-length": "2000000"}),
                await client.get("/health/live", headers={"host": "elsewhere.example"}),
                await client.get("/api/v1/posts", headers={"host": "elsewhere.example"}),
                await client.options("/api/v1/posts", headers=cors),
                await client.options("/api/v1/posts"),
            ]

    @pytest.mark.parametrize("environment", ["staging", "production"])
    async def test_every_answer_asks_for_https(self, clock: SettableClock, tmp_path: Path, environment: str) -> None:
        answers = await self.answers(clock, tmp_path, ENVIRONMENT=environment)

        assert {answer.status_code for answer in answers} >= {200, 204, 400, 401, 404, 406, 413}
        assert [answer.headers.get_list(self.FIELD) for answer in answers] == [["max-age=31536000"]] * len(answers)

    async def test_a_setting_says_for_how_long(self, clock: SettableClock, tmp_path: Path) -> None:
        day = await self.answers(clock, tmp_path, ENVIRONMENT="production", HSTS_MAX_AGE_SECONDS="86400")
        never = await self.answers(clock, tmp_path, ENVIRONMENT="production", HSTS_MAX_AGE_SECONDS="0")

        assert {answer.headers[self.FIELD] for answer in day} == {"max-age=86400"}
        assert not any(self.FIELD in answer.headers for answer in never)

    @pytest.mark.parametrize("environment", ["development", "testing"])
    async def test_on_a_developers_machine_nothing_does(
        self, clock: SettableClock, tmp_path: Path, environment: str
    ) -> None:
        answers = await self.answers(clock, tmp_path, ENVIRONMENT=environment)

        assert not any(self.FIELD in answer.headers for answer in answers)


ADDRESS: dict[str, Any] = {"street": "1 Main St", "city": "Springfield", "state": "IL", "zip": "62701", "country": "US"}
INVISIBLE = [
    "\u3164",
    "\u200b",
    "\u1160",
    "\u115f",
    "\uffa0",
    "\u2800",
    "\ufe0f",
    "\u2060\u00ad",
    "\U000e0061",
    "\u0301",
    "\u200d \u200d",
]
EMOJI = [
    "👩\u200d💻", "👨\u200d👩\u200d👧\u200d👦", "❤\ufe0f", "🇺🇦", "👍🏽", "1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "🏳\ufe0f\u200d🌈",
]  # fmt: skip


class TestSomethingCanBeSeen:
    """One rule for every text that people write."""

    @pytest.fixture
    async def admin(self, container: Container, client: httpx.AsyncClient, sign_up: SignUp) -> Account:
        return await with_role(container, client, await sign_up("the-admin"), Role.ADMIN)

    @pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
    async def test_every_text_refuses_what_cannot_be_seen(
        self, client: httpx.AsyncClient, admin: Account, bob: Account, text: str
    ) -> None:
        """`where` is the pointer to the text in a body that is right but for it."""
        post = (await publish(client, bob)).headers["location"]
        line: dict[str, Any] = {"product_id": "tea", "quantity": 1}
        hook: dict[str, Any] = {"url": "https://hooks.example.com/in", "event_types": ["*"]}
        person: dict[str, Any] = {"email": "eve@example.com", "password": PASSWORD}
        cases: list[tuple[str, str, dict[str, Any], str]] = [
            ("POST", "/api/v1/auth/signup", {**person, "name": text}, "/name"),
            ("POST", "/api/v1/auth/signup", {**person, "username": text * 3}, "/username"),
            ("PATCH", "/api/v1/users/me", {"name": text}, "/name"),
            ("PATCH", "/api/v1/users/me", {"username": text * 3}, "/username"),
            ("POST", "/api/v1/users", {**person, "username": "eve", "name": text}, "/name"),
            ("POST", "/api/v1/posts", {"text": text}, "/text"),
            ("POST", "/api/v1/posts", {"text": text * 400}, "/text"),
            ("PATCH", post, {"text": text}, "/text"),
            ("POST", "/api/v1/auth/api-keys", {"password": PASSWORD, "name": text, "scopes": ["posts:read"]}, "/name"),
            ("POST", "/api/v1/webhooks", {**hook, "description": text}, "/description"),
            ("PUT", f"/api/v1/users/{bob.id}/suspension", {"reason": text}, "/reason"),
            (
                "POST",
                "/api/v1/orders",
                {"items": [{**line, "product_id": text}], "shipping_address": ADDRESS},
                "/items/0/product_id",
            ),
        ]
        for member in ADDRESS:
            order = {"items": [line], "shipping_address": {**ADDRESS, member: text}}
            cases.append(("POST", "/api/v1/orders", order, f"/shipping_address/{member}"))
        for method, path, body, where in cases:
            account = bob if path == post else admin
            refused = await client.request(method, path, json=body, headers=account.auth)
            assert problem(refused) == (400, "invalid-input"), (method, path, refused.text)
            assert list(faults(refused)) == [where]

    @pytest.mark.parametrize("text", EMOJI, ids=ascii)
    async def test_sequences_of_emoji_stay_whole(self, client: httpx.AsyncClient, alice: Account, text: str) -> None:
        post = await publish(client, alice, text)
        named = await client.patch("/api/v1/users/me", json={"name": text}, headers=alice.auth)

        assert (post.json()["text"], named.json()["name"]) == (text, text)


class TestUsernames:
    """UAX #31 and UTS #39; every rule is in `tests/unit/identity/test_identifiers.py`."""

    async def status(self, client: httpx.AsyncClient, username: str) -> httpx.Response:
        body = {"email": f"a{len(username)}{hash(username)}@example.com", "password": PASSWORD, "username": username}
        return await client.post("/api/v1/auth/signup", json=body)

    @pytest.mark.parametrize(
        "username",
        [
            "राहुल",
            "หนูน้อย",
            "தமிழ்",
            "বাংলা",
            "မြန်မာ",
            "ខ្មែរ",
            "ಕನ್ನಡ",
            "שָׁלוֹם",
            "می\u200cخواهم",
            "ශ්\u200dරී",
            "日本taro",
            "имя",
        ],
    )
    async def test_names_of_every_script_are_welcome(self, client: httpx.AsyncClient, username: str) -> None:
        created = await self.status(client, username)

        assert created.status_code == 201, created.text
        assert created.json()["user"]["username"] == unicodedata.normalize("NFKC", username)

    @pytest.mark.parametrize(
        "username", ["alice\u1160", "al\u200bice", "alice\ufe0f", "\u0430lice", "ali\u0441e", "al\u0131ce\u200d"]
    )
    async def test_nothing_stands_beside_alice_and_looks_the_same(
        self, client: httpx.AsyncClient, alice: Account, username: str
    ) -> None:
        refused = await self.status(client, username)

        assert problem(refused) == (400, "invalid-input")
        assert list(faults(refused)) == ["/username"]
        assert alice.username == "alice"

    async def test_a_joiner_makes_no_other_name(self, client: httpx.AsyncClient) -> None:
        assert (await self.status(client, "می\u200cخواهم")).status_code == 201
        assert problem(await self.status(client, "میخواهم")) == (409, "username-taken")

    @pytest.mark.parametrize("username", ["admin", "Root", "postern", "null", "ad.min", "r00t", "nuII", "ＡＤＭＩＮ"])
    async def test_a_reserved_name_is_nobodys(self, client: httpx.AsyncClient, alice: Account, username: str) -> None:
        signed_up = await self.status(client, username)
        renamed = await client.patch("/api/v1/users/me", json={"username": username}, headers=alice.auth)

        assert (problem(signed_up), faults(signed_up)) == ((400, "invalid-input"), {"/username": "reserved"})
        assert (problem(renamed), faults(renamed)) == ((400, "invalid-input"), {"/username": "reserved"})

    async def test_an_administrator_gives_it_and_its_owner_keeps_it(
        self, container: Container, client: httpx.AsyncClient, alice: Account
    ) -> None:
        admin = await with_role(container, client, alice, Role.ADMIN)
        body = {"email": "desk@example.com", "password": PASSWORD, "username": "support"}
        assert (await client.post("/api/v1/users", json=body, headers=admin.auth)).status_code == 201

        token = (await client.post("/api/v1/auth/login", json={"email": body["email"], "password": PASSWORD})).json()
        owner = {"authorization": f"Bearer {token['access_token']}"}
        renamed = await client.patch("/api/v1/users/me", json={"username": "Support", "name": "Desk"}, headers=owner)
        assert (renamed.status_code, renamed.json()["username"]) == (200, "Support")

    async def test_a_setting_reserves_more(self, clock: SettableClock) -> None:
        app = create_app(a_container(clock, RESERVED_USERNAMES="Walrus, админ"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
            for username in ("walrus", "wal.rus", "WA1RUS", "Админ"):
                assert faults(await self.status(client, username)) == {"/username": "reserved"}
            assert (await self.status(client, "walruses")).status_code == 201
