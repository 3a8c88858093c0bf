"""Real requests to real sockets: what arrives, and what receivers cannot do to us."""

import asyncio
import socket
import ssl
import threading
import time
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from adapters.webhooks.addresses import AddressPolicy
from adapters.webhooks.resolver import SystemResolver
from adapters.webhooks.sender import HttpcoreWebhookSender
from adapters.webhooks.target import ResolvingTargetGuard
from application.webhooks.ports import WebhookRequest
from domain.webhooks.delivery import Outcome
from domain.webhooks.errors import TargetRefused
from domain.webhooks.values import EndpointUrl
from tests.fakes import ListedResolver, SettableClock
from tests.integration.webhooks.receivers import (
    Behaviour,
    answer,
    babble,
    certificate,
    drip,
    hang_up,
    receiving,
    say_nothing,
)

LOOPBACK = AddressPolicy([ip_network("127.0.0.0/8")])
NOBODY = AddressPolicy()


def a_sender(
    resolver: ListedResolver | None = None,
    *,
    policy: AddressPolicy = LOOPBACK,
    tls: ssl.SSLContext | None = None,
    whole_seconds: float = 15.0,
) -> HttpcoreWebhookSender:
    resolver = resolver or ListedResolver(hooks_example_com=[["127.0.0.1"]])
    guard = ResolvingTargetGuard(resolver, policy)
    return HttpcoreWebhookSender(guard, SettableClock(), tls=tls, whole_seconds=whole_seconds)


def a_request(url: str, body: bytes = b'{"id": "1"}') -> WebhookRequest:
    return WebhookRequest(url=EndpointUrl.parse(url), id="an-id", timestamp=17, signature="v1,abc v1,def", body=body)


async def test_a_request_arrives_as_standard_webhooks_has_it_under_the_name_of_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receiving(answer("204 No Content")) as receiver:
        outcome = await a_sender().send(a_request(f"http://hooks.example.com:{receiver.port}/in?a=b"))

    assert outcome == Outcome(status_code=204)
    assert receiver.heads[0].startswith("POST /in?a=b HTTP/1.1\r\n")
    assert receiver.bodies == [b'{"id": "1"}']
    expected = {
        "host": f"hooks.example.com:{receiver.port}",
        "webhook-id": "an-id",
        "webhook-timestamp": "17",
        "webhook-signature": "v1,abc v1,def",
        "content-type": "application/cloudevents+json",
        "content-length": "11",
    }
    assert {name: receiver.headers[name] for name in expected} == expected
    assert not {"authorization", "cookie", "accept-encoding"} & set(receiver.headers)


async def test_a_certificate_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "hooks.example.com")
    resolver = ListedResolver(hooks_example_com=[["127.0.0.1"]], other_example_com=[["127.0.0.1"]])
    async with receiving(answer("200 OK"), tls=server) as receiver:
        url = f"https://hooks.example.com:{receiver.port}/"
        assert (await a_sender(resolver, tls=trusting).send(a_request(url))).is_success
        assert receiver.names == ["hooks.example.com"]
        wrong_name = await a_sender(resolver, tls=trusting).send(a_request(url.replace("hooks", "other")))
        untrusted = await a_sender(resolver).send(a_request(url))
    assert [wrong_name.error, untrusted.error, len(receiver.bodies)] == ["tls", "tls", 1]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_where_it_leads_is_never_asked(status: int) -> None:
    async with receiving(answer("200 OK")) as inside:
        where = f"location: http://127.0.0.1:{inside.port}/"
        async with receiving(answer(f"{status} Elsewhere", where)) as receiver:
            outcome = await a_sender().send(a_request(f"http://hooks.example.com:{receiver.port}/"))
        await asyncio.sleep(0.1)
    assert (outcome.status_code, outcome.error) == (status, "redirect")
    assert (len(receiver.heads), inside.heads) == (1, [])


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (say_nothing, "timeout"),
        (drip, "timeout"),
        (hang_up, "protocol"),
        (answer("500 Broken"), "status"),
        (answer("banana"), "protocol"),
    ],
)
async def test_whatever_a_receiver_does_it_is_a_failure_within_the_time(behave: Behaviour, error: str) -> None:
    async with receiving(behave) as receiver:
        began = time.monotonic()
        outcome = await a_sender(whole_seconds=1.0).send(a_request(f"http://hooks.example.com:{receiver.port}/"))
        took = time.monotonic() - began
    assert outcome.error == error
    assert took < 10


async def test_a_body_without_end_is_cut_off_and_its_status_counts() -> None:
    async with receiving(babble) as receiver:
        outcome = await a_sender().send(a_request(f"http://hooks.example.com:{receiver.port}/"))
    assert outcome == Outcome(status_code=200)


async def test_nobody_listening_is_a_failure_to_connect() -> None:
    async with receiving(answer("200 OK")) as receiver:
        port = receiver.port
    await asyncio.sleep(0.05)
    assert (await a_sender().send(a_request(f"http://hooks.example.com:{port}/"))).error == "connection"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", timedelta(minutes=2)),
        ("Wed, 04 Mar 2026 05:06:08 GMT", timedelta(microseconds=109_877)),
        ("Mon, 02 Mar 2026 05:06:08 GMT", timedelta(0)),
        ("9" * 40, timedelta(seconds=10**9)),
        ("soon", None),
        ("-1", None),
    ],
)
async def test_retry_after_is_read_in_both_its_forms(value: str, expected: timedelta | None) -> None:
    async with receiving(answer("503 Busy", f"retry-after: {value}")) as receiver:
        outcome = await a_sender().send(a_request(f"http://hooks.example.com:{receiver.port}/"))
    assert outcome == Outcome(status_code=503, error="status", retry_after=expected)


@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("127.0.0.1", []),
        ("127.1", [["127.0.0.1"]]),
        ("localhost", [["127.0.0.1"]]),
        ("hooks.example.com", [["127.0.0.1"]]),
        ("hooks.example.com", [["93.184.215.14", "127.0.0.1"]]),
        ("hooks.example.com", [["::ffff:127.0.0.1"]]),
        ("[::1]", []),
    ],
)
async def test_an_address_of_our_own_is_not_connected_to_whatever_its_name(host: str, answers: list[list[str]]) -> None:
    resolver = ListedResolver(**{host.replace(".", "_"): answers})
    async with receiving(answer("200 OK")) as receiver:
        sender = a_sender(resolver, policy=NOBODY)
        outcomes = [await sender.send(a_request(f"{scheme}://{host}:{receiver.port}/")) for scheme in ("http", "https")]
    assert [outcome.error for outcome in outcomes] == ["refused_target", "refused_target"]
    assert receiver.heads == []


async def test_a_name_that_changes_its_mind_after_the_check_is_asked_once_and_pinned() -> None:
    """DNS rebinding: public when it is registered, and ours when it is delivered to."""
    url = EndpointUrl.parse("https://rebinding.example.com/")
    resolver = ListedResolver(rebinding_example_com=[["93.184.215.14"], ["127.0.0.1"]])
    guard = ResolvingTargetGuard(resolver, NOBODY)
    await guard.check(url)
    with pytest.raises(TargetRefused):
        await guard.check(url)

    resolver = ListedResolver(hooks_example_com=[["127.0.0.1"], ["127.0.0.2"]])
    async with receiving(answer("200 OK")) as receiver:
        assert (await a_sender(resolver).send(a_request(f"http://hooks.example.com:{receiver.port}/"))).is_success
    assert resolver.asked == ["hooks.example.com"]


async def test_plain_http_goes_only_where_the_operator_allows_it() -> None:
    sender = a_sender(ListedResolver(), policy=LOOPBACK)
    assert (await sender.send(a_request("http://public.example.com/"))).error == "refused_target"


async def test_the_second_address_is_tried_when_nobody_answers_at_the_first() -> None:
    resolver = ListedResolver(hooks_example_com=[["127.0.0.2", "127.0.0.1"]])
    async with receiving(answer("200 OK")) as receiver:
        outcome = await a_sender(resolver).send(a_request(f"http://hooks.example.com:{receiver.port}/"))
    assert outcome.is_success


async def test_the_system_resolves_names_literals_and_old_spellings_and_fails_by_name() -> None:
    resolver = SystemResolver()
    assert [str(address) for address in await resolver.resolve("127.0.0.1", 80)] == ["127.0.0.1"]
    assert [str(address) for address in await resolver.resolve("2130706433", 80)] == ["127.0.0.1"]
    assert {str(address) for address in await resolver.resolve("localhost", 80)} <= {"127.0.0.1", "::1"}
    for name in ("no-such-name.invalid", "a..b", "x" * 64 + ".example"):
        with pytest.raises(OSError):
            await resolver.resolve(name, 80)


async def test_a_name_server_that_hangs_is_a_failure_and_holds_up_no_other_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, release = socket.getaddrinfo, threading.Event()

    def hanging(host: str, *args: object, **kwargs: object) -> object:
        if host.startswith("hangs"):
            release.wait(20)
        return real("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr("adapters.webhooks.target.RESOLVE_SECONDS", 0.3)
    guard = ResolvingTargetGuard(SystemResolver(), LOOPBACK)
    hanging_names = [guard.check(EndpointUrl.parse(f"https://hangs{n % 50}.example/")) for n in range(100)]
    waiting = asyncio.gather(*hanging_names, return_exceptions=True)
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await guard.check(EndpointUrl.parse("https://quick.example/"))
        outcomes = await waiting
    release.set()
    assert {type(outcome) for outcome in outcomes} == {TargetRefused}
