"""Which addresses webhooks may be sent to."""

from ipaddress import ip_address, ip_network

import pytest

from adapters.webhooks.addresses import AddressPolicy

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not AddressPolicy().is_allowed(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed_and_not_trusted(text: str) -> None:
    assert AddressPolicy().is_allowed(ip_address(text))
    assert not AddressPolicy().is_trusted(ip_address(text))


def test_what_the_operator_allows_is_trusted_and_nothing_beside_it() -> None:
    policy = AddressPolicy([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])
    assert policy.is_trusted(ip_address("10.1.2.3"))
    assert policy.is_trusted(ip_address("fd00::5"))
    assert not policy.is_allowed(ip_address("10.2.0.1"))
    assert not policy.is_allowed(ip_address("::ffff:10.1.2.3"))


def test_a_translator_that_is_allowed_leads_no_further_than_its_embedded_address_may() -> None:
    policy = AddressPolicy([ip_network("64:ff9b::/96")])
    assert policy.is_allowed(ip_address("64:ff9b::8.8.8.8"))
    assert not policy.is_allowed(ip_address("64:ff9b::127.0.0.1"))
