"""Whose address it is, behind proxies that are trusted and others."""

from ipaddress import ip_network

import pytest

from entrypoints.http.addresses import ClientAddresses, is_within

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", "198.51.100.9", "192.0.2.7"),  # anybody can write that
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.1, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, 10.0.0.2,10.0.0.3", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),  # all of them ours
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("a socket", "198.51.100.9", "a socket"),
    ],
)
def test_the_client_is_the_last_address_that_somebody_trusted_has_seen(
    peer: str, forwarded: str | None, client: str
) -> None:
    fields = {} if forwarded is None else {b"x-forwarded-for": forwarded.encode()}
    assert ClientAddresses(TRUSTED).of(peer, fields) == client


def test_without_trusted_proxies_it_is_the_peer() -> None:
    assert ClientAddresses(()).of("10.0.0.1", {b"x-forwarded-for": b"198.51.100.9"}) == "10.0.0.1"


def test_an_address_lies_in_a_network_also_when_it_is_written_as_ipv6() -> None:
    assert is_within("::ffff:10.1.2.3", TRUSTED)
    assert not is_within("11.0.0.1", TRUSTED)
    assert not is_within("testclient", TRUSTED)
