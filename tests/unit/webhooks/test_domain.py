"""Endpoints, deliveries, their schedule and their values."""

from datetime import timedelta

import pytest

from domain.shared.actor import Role
from domain.shared.errors import Forbidden, Invalid
from domain.webhooks.delivery import DeliveryStatus, Outcome
from domain.webhooks.endpoint import PREVIOUS_SECRET_LASTS, DisabledReason
from domain.webhooks.schedule import JITTER, LONGEST_WAIT, WAITS, wait_before
from domain.webhooks.values import EndpointUrl, EventTypes
from tests.builders import NOW, a_delivery, a_user, a_webhook, an_actor

ADMIN = an_actor(a_user(role=Role.ADMIN))
KNOWN = frozenset({"post.published", "post.edited", "order.placed"})


def test_the_schedule_is_that_of_standard_webhooks_and_ends() -> None:
    assert [wait_before(attempt, random=0.0) for attempt in range(11)] == [*WAITS, None]
    assert sum(WAITS, timedelta()) == timedelta(days=3, hours=3, minutes=35, seconds=5)


@pytest.mark.parametrize("attempt", range(1, 10))
def test_jitter_only_ever_makes_a_wait_longer(attempt: int) -> None:
    assert wait_before(attempt, random=0.999) == pytest.approx(WAITS[attempt] * (1 + JITTER), rel=0.001)


@pytest.mark.parametrize(
    ("asked_for", "expected"),
    [
        (timedelta(seconds=1), timedelta(minutes=5)),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=400), LONGEST_WAIT),
    ],
)
def test_retry_after_counts_where_it_is_longer_up_to_a_day(asked_for: timedelta, expected: timedelta) -> None:
    assert wait_before(2, random=0.0, asked_for=asked_for) == expected


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, None), (204, None), (299, None), (301, "redirect"), (308, "redirect"), (400, "status"), (503, "status")],
)
def test_only_a_2xx_is_a_success_and_a_redirect_is_none(status: int, error: str | None) -> None:
    assert Outcome.answered(status).error == error


def test_a_receiver_that_is_gone_is_not_tried_again() -> None:
    delivery = a_delivery(a_webhook())
    delivery.note(Outcome.answered(410), at=NOW, random=0.0)
    assert (delivery.status, delivery.next_attempt_at) == (DeliveryStatus.FAILED, None)


def test_a_secret_signs_for_a_day_after_it_was_replaced() -> None:
    webhook = a_webhook(secret=b"old")
    webhook.rotate_secret(b"new", by=ADMIN, at=NOW)
    assert webhook.signing_secrets(NOW + PREVIOUS_SECRET_LASTS - timedelta(microseconds=1)) == [b"new", b"old"]
    assert webhook.signing_secrets(NOW + PREVIOUS_SECRET_LASTS) == [b"new"]


def test_an_endpoint_that_is_enabled_again_wants_what_happens_from_then_on() -> None:
    webhook = a_webhook(enabled=False, disabled_reason=DisabledReason.FAILING, failing_since=NOW, from_position=3)
    webhook.edit(
        by=ADMIN,
        url=webhook.url,
        event_types=webhook.event_types,
        description=None,
        enabled=True,
        position=7,
        at=NOW,
    )
    assert (webhook.disabled_reason, webhook.failing_since) == (None, None)
    assert [webhook.is_wanted("post.published", position) for position in (7, 8)] == [False, True]


@pytest.mark.parametrize("role", [Role.USER, Role.MODERATOR])
def test_only_administrators_change_an_endpoint(role: Role) -> None:
    webhook, actor = a_webhook(), an_actor(a_user(role=role))
    with pytest.raises(Forbidden):
        webhook.delete(by=actor, at=NOW)
    with pytest.raises(Forbidden):
        webhook.rotate_secret(b"mine", by=actor, at=NOW)
    assert (webhook.secret, webhook.pull_events()) == (b"sealed", [])


@pytest.mark.parametrize(
    ("patterns", "matched"),
    [
        (["*"], {"post.published", "post.edited", "order.placed"}),
        (["post.*"], {"post.published", "post.edited"}),
        (["order.placed", "post.edited"], {"order.placed", "post.edited"}),
    ],
)
def test_patterns_match_a_type_a_subject_or_everything(patterns: list[str], matched: set[str]) -> None:
    types = EventTypes.parse(patterns, known=KNOWN)
    assert {type_ for type_ in KNOWN if types.match(type_)} == matched
    assert types.match("post.renamed") is (patterns[0] in {"*", "post.*"})


@pytest.mark.parametrize("pattern", ["pos*", "post", "post.", ".published", "post.publish", "*.published", "**"])
def test_a_pattern_that_matches_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        EventTypes.parse(["post.edited", pattern], known=KNOWN)


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("https://A.Example/x?y=1", ("a.example", 443, "a.example", "/x?y=1", True)),
        ("http://a.example:8080", ("a.example", 8080, "a.example:8080", "/", False)),
        ("https://[2001:db8::1]:443/", ("2001:db8::1", 443, "[2001:db8::1]", "/", True)),
        ("https://a.example?x", ("a.example", 443, "a.example", "/?x", True)),
    ],
)
def test_a_url_is_taken_apart_in_one_way(raw: str, parts: tuple[str, int, str, str, bool]) -> None:
    url = EndpointUrl.parse(raw)
    assert (url.host, url.port, url.authority, url.target, url.is_encrypted) == parts


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "https://",
        "//a.example/",
        "ftp://a.example/",
        "https:///x",
        "https://a.example\\@b.example/",
        "https://a@b.example/",
        "https://a.example/#x",
        "https://a.example/ x",
        "https://a.example/\r\nhost: b",
        "https://a.example:0/",
        "https://a.example:25/",
        "https://a.example:65536/",
        "https://ä.example/",
        "https://[fe80::1%25eth0]/",
        "https://a.example/" + "x" * 2048,
    ],
)
def test_a_url_with_anything_unusual_is_refused(raw: str) -> None:
    with pytest.raises(Invalid):
        EndpointUrl.parse(raw)
