"""Request bodies: only JSON, only what the schema names, and never a 500."""

import contextlib
import json
from typing import Annotated

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from domain.shared.errors import Invalid
from entrypoints.http.edge.json_body import _is_plain, decode
from entrypoints.http.identity.credential_schemas import CreateApiKeyBody
from entrypoints.http.identity.schemas import EditProfileBody, SignUpBody
from entrypoints.http.posts.schemas import EditPostBody
from entrypoints.http.problems.errors import MalformedBody
from tests.integration.http.conftest import PASSWORD, Account, faults, problem

POSTS = "/api/v1/posts"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"',
     "application/json ; x=y; charset=utf-8", 'application/json; x="a;b\\"" ;charset=utf-8', "application/json;",
     "application/json; x= ; ;"],
)  # fmt: skip
async def test_json_in_utf_8_is_taken(client: httpx.AsyncClient, alice: Account, media_type: str) -> None:
    headers = {**alice.auth, "content-type": media_type}
    assert (await client.post(POSTS, content=b'{"text":"a"}', headers=headers)).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonx",
     "application/problem+json", "text/json", "", "multipart/form-data; boundary=x", "application/json, text/plain",
     "application/json; x", 'application/json; x="a', 'application/json; x="a"b', "application/json; =x",
     "application/json; x=y; charset=utf-16", "application/json; charset="],
)  # fmt: skip
async def test_anything_else_is_an_unsupported_media_type(
    client: httpx.AsyncClient, alice: Account, media_type: str
) -> None:
    headers = {**alice.auth, "content-type": media_type}
    response = await client.post(POSTS, content=b'{"text":"a"}', headers=headers)
    assert problem(response) == (415, "unsupported-media-type")
    assert response.headers["accept"] == "application/json"


async def test_parameters_without_end_are_read_in_one_go(client: httpx.AsyncClient) -> None:
    # Where two parts of a pattern match the same blanks, 24 parameters took 26 seconds, and each more doubled them.
    headers = {"content-type": "application/json" + ";a= " * 3_000 + ";!"}
    assert problem(await client.post("/api/v1/auth/login", content=b"{}", headers=headers)) == (
        415,
        "unsupported-media-type",
    )


async def test_a_body_must_say_what_it_is(client: httpx.AsyncClient, alice: Account) -> None:
    response = await client.post(POSTS, content=b'{"text":"a"}', headers=alice.auth)
    assert problem(response) == (415, "unsupported-media-type")
    assert "Content-Type is missing" in response.json()["detail"]


@pytest.mark.parametrize("coding", ["gzip", "zstd", "deflate", "gzip, identity", "x"])
async def test_a_body_with_a_content_coding_is_told_so(client: httpx.AsyncClient, alice: Account, coding: str) -> None:
    response = await client.post(POSTS, content=b"x", headers={**alice.auth, **JSON, "content-encoding": coding})
    assert problem(response) == (415, "unsupported-content-coding")
    assert response.headers["accept-encoding"] == "identity"
    assert "accept" not in response.headers
    assert "application/json" not in response.text


MALFORMED = [
    b"",
    b" ",
    b"{",
    b'{"text":"a"',
    b'{"text":"a"}x',
    b'{"text":"a"}{}',
    b'{"text":"a",}',
    b"{'text':'a'}",
    b'{text:"a"}',
    b'{"text":"a"}//',
    b'{"text":"\xff"}',
    b'{"\xfftext":"a"}',
    b'{"text":"\xed\xa0\x80"}',
    b'{"text":"\xc0\x80"}',
    b'\xef\xbb\xbf{"text":"a"}',
    '{"text":"a"}'.encode("utf-16"),
    b'{"text":"\x01"}',
    b'{"text":"\\x"}',
    b'{"text":"\\ud800"}',
    b'{"text":"\\udc00"}',
    b'{"text":"\\ud800\\u0041"}',
    b'{"text":NaN}',
    b'{"text":Infinity}',
    b'{"text":-Infinity}',
    b'{"text":1e999}',
    b'{"text":01}',
    b'{"text":' + b"9" * 5000 + b"}",
    b'{"text":1.' + b"9" * 5000 + b"e99999}",
    b'{"text":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b"[" * 1_000_000,
    b'{"text":"a","text":"b"}',
    b'{"text":"a","x":{"y":1,"y":2}}',
    b'{"text":"a","te\\u0078t":"b"}',
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_not_json_is_malformed(client: httpx.AsyncClient, alice: Account, body: bytes) -> None:
    response = await client.post(POSTS, content=body, headers={**alice.auth, **JSON})
    assert problem(response) == (400, "malformed-body")
    assert list(faults(response)) == [""]


@pytest.mark.parametrize("body", [b"null", b"1", b'"text"', b"[]", b'[{"text":"a"}]', b"true"])
async def test_json_that_is_no_object_is_invalid(client: httpx.AsyncClient, alice: Account, body: bytes) -> None:
    response = await client.post(POSTS, content=body, headers={**alice.auth, **JSON})
    assert problem(response) == (400, "invalid-input")
    assert faults(response) == {"": "type"}


async def test_thousands_of_unknown_fields_are_not_all_told(client: httpx.AsyncClient, alice: Account) -> None:
    body = {"text": "a", **{f"x{number}": 1 for number in range(50_000)}}
    response = await client.post(POSTS, json=body, headers=alice.auth)
    assert response.status_code == 400
    assert len(response.content) < 10_000


@pytest.mark.parametrize("number", [3, 150, 90_000])
async def test_faults_of_long_lists_are_twenty_at_the_most(
    client: httpx.AsyncClient, alice: Account, number: int
) -> None:
    bodies = {
        "orders": {"items": [{}] * number},
        "auth/api-keys": {"password": PASSWORD, "name": "a", "scopes": ["x" * 3] * number},
        "auth/signup": dict.fromkeys(map(str, range(number)), 1),
    }
    for path, body in bodies.items():
        response = await client.post(f"/api/v1/{path}", json=body, headers=alice.auth)
        told = response.json()
        assert problem(response) == (400, "invalid-input")
        assert 1 <= len(told["errors"]) <= 20
        assert len(response.content) < 10_000
        assert (len(told["errors"]) == 20 or number == 90_000) == ("left out" in told["detail"])


async def test_a_list_that_is_far_too_long_is_not_looked_into(client: httpx.AsyncClient, alice: Account) -> None:
    body = {"items": [{"product_id": "", "quantity": "x"}] * 201}
    response = await client.post("/api/v1/orders", json=body, headers=alice.auth)
    assert faults(response) == {"/shipping_address": "required", "/items": "length"}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"name": "a", "x.[y": 1}, ("items/0/x.[y", "unknown")),
        ({}, ("items/0/name", "required")),
        ({"name": 1}, ("items/0/name", "type")),
        (3, ("items/0", "type")),
    ],
)
def test_a_body_of_too_many_values_is_told_its_first_fault(item: object, expected: tuple[str, str]) -> None:
    with pytest.raises(Invalid, match="left out") as refused:
        decode(json.dumps({"items": [item] * 6_000}).encode(), Order)
    assert [(error.field, error.code) for error in refused.value.errors] == [expected]


def test_a_text_of_many_commas_is_one_value() -> None:
    text = "a, b [c] {d}, " * 10_000
    assert decode(json.dumps({"text": text}).encode(), EditPostBody).text == text


def test_a_member_that_is_twice_in_a_large_body_is_found() -> None:
    with pytest.raises(MalformedBody, match="twice"):
        decode(json.dumps({"text": "a," * 6_000})[:-1].encode() + b',"text":"b"}', EditPostBody)


def test_a_fault_does_not_quote_a_megabyte() -> None:
    body = {"password": PASSWORD, "name": "a", "scopes": ["x" * 1_000_000]}
    with pytest.raises(Invalid) as refused:
        decode(json.dumps(body).encode(), CreateApiKeyBody)
    assert len(refused.value.detail) < 500


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_FIELDS = st.sampled_from(["email", "password", "username", "name", "phone", "text"])


@given(st.binary(max_size=200) | _VALUES.map(lambda value: json.dumps(value).encode()))
@example(b"{}")
def test_any_bytes_are_either_taken_or_refused_by_name(raw: bytes) -> None:
    for schema in (SignUpBody, EditProfileBody):
        # Anything but `Invalid` goes through, and fails the test.
        with contextlib.suppress(Invalid):
            decode(raw, schema)


@given(st.dictionaries(_FIELDS | st.text(max_size=5), _VALUES, max_size=6))
def test_a_refusal_names_every_field_that_alone_would_be_refused(body: dict[str, object]) -> None:
    try:
        body = json.loads(json.dumps(body))
        refused = _faulty_fields(body)
    except MalformedBody:
        return
    for name, value in body.items():
        alone = _faulty_fields({"email": "a@example.com", "password": "a walrus in it", name: value})
        pointer = name.replace("~", "~0").replace("/", "~1")
        assert (pointer in refused) is (pointer in alone)


def _faulty_fields(body: dict[str, object]) -> set[str]:
    try:
        decode(json.dumps(body).encode(), SignUpBody)
    except MalformedBody:
        raise
    except Invalid as refused:
        return {error.field.partition("/")[0] for error in refused.errors}
    return set()


@given(_VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
async def test_no_value_of_a_field_is_an_internal_error(client: httpx.AsyncClient, value: object) -> None:
    for path in ("signup", "login", "refresh"):
        for field in ("email", "password", "refresh_token"):
            body = {"email": "a@example.com", "password": "a walrus in it", "refresh_token": "x", field: value}
            response = await client.post(f"/api/v1/auth/{path}", content=json.dumps(body), headers=JSON)
            assert response.status_code < 500


class Item(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=3)]
    size: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Order(msgspec.Struct, forbid_unknown_fields=True):
    items: Annotated[list[Item], msgspec.Meta(min_length=1, max_length=3)]
    first: Item | None = None
    tag: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")] = "a"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"items": []}, {"items": "length"}),
        ({"items": [{"name": "a"}] * 4}, {"items": "length"}),
        (
            {"items": [{"name": ""}, {"name": "a", "size": 0}, {"size": "1"}, 7], "tag": "A"},
            {
                "items/0/name": "length",
                "items/1/size": "range",
                "items/2/name": "required",
                "items/2/size": "type",
                "items/3": "type",
                "tag": "pattern",
            },
        ),
        (
            {"items": {}, "first": {"name": "abcd", "x": 1}},
            {"items": "type", "first/name": "length", "first/x": "unknown"},
        ),
        ({"items": [{"name": "a"}], "first": 3}, {"first": "type"}),
    ],
)
def test_faults_are_found_in_every_depth(body: dict[str, object], expected: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        decode(json.dumps(body).encode(), Order)
    assert {error.field: error.code for error in refused.value.errors} == expected


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3), st.lists(st.text(max_size=1)))


@given(members=st.lists(st.tuples(st.text('ab\\"', max_size=2), _VALUES), max_size=5))
@example(members=[("a", "x"), ("a", 1)])
@example(members=[("a", 1), ("a", "x")])
@example(members=[("a", []), ("a", 1)])
def test_counting_never_passes_a_member_that_is_there_twice(members: list[tuple[str, object]]) -> None:
    raw = f"{{{', '.join(f'{json.dumps(name)}: {json.dumps(value)}' for name, value in members)}}}".encode()
    is_unique = len({name for name, _ in members}) == len(members)
    is_flat = not any(isinstance(value, list) for _, value in members)
    # What escapes something, or is not flat, is left to the slower way, whether it is right or wrong.
    assert _is_plain(raw, msgspec.json.decode(raw)) == (is_unique and is_flat and b"\\" not in raw)
