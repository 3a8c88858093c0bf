"""The pages that links in mails lead to, as a browser without scripts sees them."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
import pytest

from domain.identity.errors import InvalidOneTimeToken
from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.exchange import Application
from entrypoints.http.identity.mailed_pages import FORGOT, PATHS, RESET, VERIFY
from tests.fakes import SettableClock
from tests.integration.http.conftest import BASE, PASSWORD, Account, a_container, open_client, problem
from tests.integration.http.test_credentials import RESET as RESET_SUBJECT
from tests.integration.http.test_credentials import VERIFY as VERIFY_SUBJECT
from tests.integration.http.test_credentials import Outbox

NEW = "two walruses in the library"
SAME = {"sec-fetch-site": "same-origin", "origin": "null"}
"""What a browser says of a form on a page without a referrer."""


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def container(clock: SettableClock, outbox: Outbox) -> Container:
    container = a_container(clock)
    container.mail_transport.override(outbox)
    return container


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, which gets pages for problems too; the document is for programs."""
    async with open_client(app) as opened:
        yield opened


class Form(HTMLParser):
    """The one form of a page: where it goes, and its fields with what stands in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = self.method = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.action, self.method = given["action"] or "", given["method"] or ""
        elif tag == "input":
            self.fields[given["name"] or ""] = given.get("value") or ""


async def link(container: Container, outbox: Outbox, subject: str) -> str:
    """Return the link of the newest mail of a subject, without its host."""
    await container.background().idle()
    while not any(mail.subject == subject for mail in outbox.mails):
        outbox.arrived.clear()
        await outbox.arrived.wait()
    mail = next(mail for mail in reversed(outbox.mails) if mail.subject == subject)
    found = re.search(r"http://127\.0\.0\.1:8000(/\S+)", mail.text)
    assert found is not None, mail.text
    assert found[0].replace("&", "&amp;") in mail.html
    return found[1]


async def send(client: httpx.AsyncClient, page: httpx.Response, **filled: str) -> httpx.Response:
    form = Form(page.text)
    assert form.method == "post"
    return await client.post(form.action, data={**form.fields, **filled}, headers=SAME)


def hold(page: httpx.Response) -> None:
    """What every one of these pages must keep to."""
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in page.text
    assert "content-encoding" not in page.headers
    assert not [url for url in re.findall(r'(?:href|src|action)="([^"]*)"', page.text) if urlsplit(url).netloc]


async def test_a_link_sets_a_new_password_however_often_it_was_looked_at(
    client: httpx.AsyncClient, alice: Account, container: Container, outbox: Outbox
) -> None:
    asked = await client.get(FORGOT)
    hold(asked)
    response = await send(client, asked, email=alice.email)
    assert response.status_code == 200
    hold(response)
    path = await link(container, outbox, RESET_SUBJECT)
    for method in ("HEAD", "GET", "HEAD", "GET"):  # a scanner of mails follows it, and so does a preview
        assert (await client.request(method, path)).status_code == 200
    page = await client.get(path)
    hold(page)

    done = await send(client, page, password=NEW, again=NEW)

    assert (done.status_code, "Your password is changed" in done.text) == (200, True)
    hold(done)
    log_in = {"email": alice.email, "password": NEW}
    assert (await client.post("/api/v1/auth/login", json=log_in)).status_code == 200
    assert problem(await client.get("/api/v1/users/me", headers=alice.auth)) == (401, "invalid-token")
    again = await send(client, page, password=NEW, again=NEW)
    assert again.status_code == 400
    assert InvalidOneTimeToken.title in again.text
    assert FORGOT in again.text
    hold(again)


async def test_a_link_verifies_an_address(
    client: httpx.AsyncClient, alice: Account, container: Container, outbox: Outbox
) -> None:
    page = await client.get(await link(container, outbox, VERIFY_SUBJECT))
    hold(page)
    assert (await client.get("/api/v1/users/me", headers=alice.auth)).json()["email_verified"] is False

    done = await send(client, page)

    assert done.status_code == 200, done.text
    hold(done)
    assert (await client.get("/api/v1/users/me", headers=alice.auth)).json()["email_verified"] is True


async def test_faults_are_told_in_the_form_and_spend_nothing(
    client: httpx.AsyncClient, alice: Account, container: Container, outbox: Outbox
) -> None:
    await client.post("/api/v1/auth/password/forgot", json={"email": alice.email})
    page = await client.get(await link(container, outbox, RESET_SUBJECT))
    for password, again, words in (
        ("short", "short", "12"),
        (NEW, PASSWORD, "not the same"),
        ("passwordpassword", "passwordpassword", "tried first"),
        ("", "", "The password"),
    ):
        page = await send(client, page, password=password, again=again)
        assert page.status_code == 400
        assert words in page.text
        hold(page)
        if password:
            assert password not in page.text

    assert (await send(client, page, password=NEW, again=NEW)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_without_a_token_asks_for_one_and_takes_what_trackers_add(
    client: httpx.AsyncClient, path: str
) -> None:
    plain = await client.get(path)
    tracked = await client.get(f"{path}?utm_source=mail&token=")
    hold(plain)
    assert plain.text == tracked.text
    assert ("token" in Form(plain.text).fields) is (path != FORGOT)
    assert 'type="hidden"' not in plain.text


@pytest.mark.parametrize("path", [VERIFY, RESET])
async def test_what_a_link_says_is_text_and_no_markup(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path, params={"token": '"><script>alert(1)</script>'})
    hold(page)
    assert Form(page.text).fields["token"] == '"><script>alert(1)</script>'
    long = await client.get(path, params={"token": "x" * 300})
    assert "x" * 300 not in long.text
    sent = {"token": '"><b>', "password": NEW, "again": NEW}
    refused = await client.post(path, data=sent, headers=SAME)
    assert refused.status_code == 400
    assert "<b>" not in refused.text
    hold(refused)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"content-type": "application/json"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "text/plain"}, 415),
    ],
)
async def test_what_no_form_of_ours_sends_is_refused(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    sent = {"content-type": "application/x-www-form-urlencoded", **headers}
    response = await client.post(path, content=b"token=x&email=a%40example.com", headers=sent)
    assert response.status_code == status
    assert "JSON" not in response.text
    hold(response)


@pytest.mark.parametrize("content", [b"token=%ff", b"token=\xff", b"&".join([b"a=1"] * 40)])
async def test_a_form_that_is_none_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    sent = {"content-type": "application/x-www-form-urlencoded"}
    response = await client.post(RESET, content=content, headers=sent)
    assert response.status_code == 400
    hold(response)


async def test_a_form_has_its_bounds(client: httpx.AsyncClient) -> None:
    sent = {"content-type": "application/x-www-form-urlencoded"}
    response = await client.post(RESET, content=b"token=" + b"x" * 9_000, headers=sent)
    assert response.status_code == 413
    hold(response)


async def test_the_pages_count_against_the_limits_of_the_api(clock: SettableClock, outbox: Outbox) -> None:
    container = a_container(
        clock, RATE_LIMIT_ENABLED="true", RATE_LIMIT_ADDRESS="12/minute", RATE_LIMIT_FORGOT_ADDRESS="3/hour"
    )
    container.mail_transport.override(outbox)
    async with open_client(create_app(container)) as client:
        statuses = [
            (await client.post(FORGOT, data={"email": f"{n}@example.com"}, headers=SAME)).status_code for n in range(5)
        ]
        assert statuses == [200, 200, 200, 429, 429]
        statuses = [(await client.get(RESET)).status_code for _ in range(10)]
        assert 429 in statuses


async def test_a_front_end_gets_the_token_where_no_server_sees_it(clock: SettableClock, outbox: Outbox) -> None:
    for settings, expected in (
        ({"PUBLIC_URL": "https://app.example.com"}, "https://app.example.com/verify-email#token="),
        (
            {"PUBLIC_URL": "https://api.example.com", "API_URL": "https://api.example.com"},
            "https://api.example.com/verify-email?token=",
        ),
    ):
        outbox.mails.clear()
        outbox.arrived.clear()
        container = a_container(clock, **settings)
        container.mail_transport.override(outbox)
        async with open_client(create_app(container)) as client:
            body = {"email": "alice@example.com", "password": PASSWORD}
            assert (await client.post("/api/v1/auth/signup", json=body)).status_code == 201
            await container.background().idle()
            await outbox.arrived.wait()
        assert expected in outbox.mails[0].text


async def test_links_in_the_mailbox_can_be_clicked_and_the_index_names_it(
    clock: SettableClock, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    container = a_container(clock, ENVIRONMENT="development")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(container)), base_url=BASE) as client:
        body = {"email": "alice@example.com", "password": PASSWORD, "username": "alice"}
        assert (await client.post("/api/v1/auth/signup", json=body)).status_code == 201
        await container.background().idle()
        await container.mail_queue().close()
        browser = {"accept": "text/html"}
        shown = await client.get("/dev/mailbox", headers=browser)
        links = re.findall(r'<a href="http://127\.0\.0\.1:8000([^"]+)" rel="noreferrer">', shown.text)
        assert [urlsplit(link).path for link in links] == [VERIFY]
        assert shown.headers["cache-control"] == "no-store"
        assert (await send(client, await client.get(links[0]))).status_code == 200
        index = await client.get("/", headers=browser)
        assert 'href="/dev/mailbox"' in index.text
        assert "postern create-admin" in index.text
        assert (await client.get("/")).json()["mailbox"] == "/dev/mailbox"


async def test_the_index_says_nothing_of_development_elsewhere(client: httpx.AsyncClient) -> None:
    index = await client.get("/", headers={"accept": "text/html"})
    assert "create-admin" not in index.text
    assert "mailbox" not in (await client.get("/")).json()
