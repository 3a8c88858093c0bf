"""Whose address it is, behind proxies that are trusted and others."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.edge.addresses import ClientAddresses, ProxyHeader, is_within

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


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("203.0.113.9:51234", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1:443", "2001:db8::1:443"),  # without brackets all of it is the address
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("198.51.100.9:1, 203.0.113.9:51234, 10.0.0.2:8080, [fd00::2]:80", "203.0.113.9"),
        ("203.0.113.9:", "10.0.0.1"),
        ("203.0.113.9:port", "10.0.0.1"),
        ("203.0.113.9:1:2", "10.0.0.1"),
        ("[203.0.113.9]:1", "203.0.113.9"),
        ("[2001:db8::1", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("198.51.100.9, unknown, 10.0.0.2", "10.0.0.2"),
    ],
)
def test_addresses_with_ports_are_understood(chain: str, client: str) -> None:
    assert ClientAddresses(TRUSTED).of("10.0.0.1", {b"x-forwarded-for": chain.encode()}) == client


@pytest.mark.parametrize(
    ("field", "client"),
    [
        ("for=192.0.2.60", "192.0.2.60"),
        ("For=192.0.2.60;Proto=http;by=203.0.113.43", "192.0.2.60"),
        ('for="192.0.2.60:47011"', "192.0.2.60"),
        ('for="192.0.2.60:_secret"', "192.0.2.60"),
        ('FOR="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ('for="[2001:db8:cafe::17]"', "2001:db8:cafe::17"),
        ('for="\\1\\92.0.2.60"', "192.0.2.60"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
        ("for=192.0.2.43,for=198.51.100.17 ; proto=https,for=10.0.0.2", "198.51.100.17"),
        ('for=192.0.2.43;host="a, for=6.6.6.6", for=10.0.0.2', "192.0.2.43"),
        ('for=192.0.2.43;host="a;for=6.6.6.6\\"", for=10.0.0.2', "192.0.2.43"),
        ("for=10.0.0.9, for=10.0.0.2", "10.0.0.9"),
        ("for=_hidden", "10.0.0.1"),
        ("for=_SEVKISEK, for=10.0.0.2", "10.0.0.2"),
        ('for=198.51.100.9, for="unknown", for=10.0.0.2', "10.0.0.2"),
        ("proto=https", "10.0.0.1"),
        ("for=198.51.100.9;for=192.0.2.1", "10.0.0.1"),
        ("for=[2001:db8::1]", "10.0.0.1"),  # brackets only go in quotation marks
        ("for =192.0.2.60", "10.0.0.1"),
        ("192.0.2.60", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_is_understood(field: str, client: str) -> None:
    assert ClientAddresses(TRUSTED).of("10.0.0.1", {b"forwarded": field.encode()}) == client
    # Of a proxy that is not trusted nothing is believed.
    assert ClientAddresses(TRUSTED).of("192.0.2.7", {b"forwarded": field.encode()}) == "192.0.2.7"


@pytest.mark.parametrize(
    "written",
    [
        "for=6.6.6.6",
        'for="6.6.6.6',
        'for="',
        'for=6.6.6.6;host="',
        'x="\\"',
        '"',
        '\\"',
        "for=6.6.6.6;",
        ",,,",
        "for=_x",
        '"," "',
    ],
)
def test_what_a_client_writes_does_not_hide_what_the_proxy_adds(written: str) -> None:
    joined = f"{written}, for=198.51.100.17".encode()
    assert ClientAddresses(TRUSTED).of("10.0.0.1", {b"forwarded": joined}) == "198.51.100.17"
    joined = f"{written}, 198.51.100.17:99".encode()
    assert ClientAddresses(TRUSTED).of("10.0.0.1", {b"x-forwarded-for": joined}) == "198.51.100.17"


def test_of_two_fields_the_one_counts_that_proxies_write() -> None:
    both = {b"forwarded": b"for=192.0.2.60", b"x-forwarded-for": b"198.51.100.9"}
    one = {b"forwarded": b"for=192.0.2.60"}

    assert ClientAddresses(TRUSTED).of("10.0.0.1", both) == "198.51.100.9"
    assert ClientAddresses(TRUSTED, ProxyHeader.FORWARDED).of("10.0.0.1", both) == "192.0.2.60"
    assert ClientAddresses(TRUSTED, ProxyHeader.X_FORWARDED_FOR).of("10.0.0.1", both) == "198.51.100.9"
    assert ClientAddresses(TRUSTED, ProxyHeader.X_FORWARDED_FOR).of("10.0.0.1", one) == "10.0.0.1"


@pytest.mark.parametrize("field", ["x-forwarded-for", "forwarded"])
def test_of_a_list_without_end_the_end_is_read(field: str) -> None:
    element = "for={}" if field == "forwarded" else "{}"
    ours = ", ".join([element.format("10.0.0.2")] * 20)
    fields = {field.encode(): f"{'x' * 9_000}, {element.format('198.51.100.17')}, {ours}".encode()}
    assert ClientAddresses(TRUSTED).of("10.0.0.1", fields) == "198.51.100.17"
    endless = {field.encode(): ", ".join([element.format("10.0.0.2")] * 700).encode()}
    assert ClientAddresses(TRUSTED).of("10.0.0.1", endless) == "10.0.0.2"


@given(
    st.text(st.sampled_from('for=by;:,"\\ \t[]_10.26a'), max_size=60),
    st.sampled_from(["198.51.100.17", '"198.51.100.17:4711"', '"[2001:db8::17]:443"', "198.51.100.17;proto=https"]),
    st.integers(0, 3),
)
def test_no_text_of_a_client_changes_what_the_proxies_have_seen(written: str, seen: str, proxies: int) -> None:
    chain = [written, f"for={seen}", *["for=10.0.0.2"] * proxies]
    found = ClientAddresses(TRUSTED).of("10.0.0.1", {b"forwarded": ", ".join(chain).encode()})
    assert found == ("2001:db8::17" if "2001" in seen else "198.51.100.17")
