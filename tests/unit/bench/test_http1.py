import json

import pytest

from bench.http1 import AnswerReader, MalformedAnswer, Request, json_request

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n'
BODILESS = b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 512\r\n\r\n'


@pytest.mark.parametrize(
    ("raw", "status", "body"), [(PLAIN, 200, b"{}"), (CHUNKED, 200, b'{"a":1}'), (BODILESS, 304, b"")]
)
def test_an_answer_is_complete_with_its_last_byte_and_not_before(raw: bytes, status: int, body: bytes) -> None:
    reader = AnswerReader()
    for at in range(len(raw) - 1):
        assert reader.feed(raw[at : at + 1]) is None
    answer = reader.feed(raw[-1:])
    assert answer is not None
    assert (answer.status, answer.body, answer.size) == (status, body, len(raw))


def test_answers_come_one_after_another() -> None:
    reader = AnswerReader()
    first, second = reader.feed(PLAIN), reader.feed(CHUNKED)
    assert first is not None
    assert second is not None
    assert (first.json(), second.json()) == ({}, {"a": 1})


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        PLAIN + b"more",
    ],
)
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        AnswerReader().feed(raw)


def test_a_request_tells_the_length_of_its_body_in_bytes() -> None:
    raw = json_request("POST", "/posts", (("Authorization", "Bearer x"),), {"text": "Grüße"}).raw("127.0.0.1:80")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /posts HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer x\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"text": "Grüße"}


def test_a_get_has_no_length() -> None:
    assert b"Content-Length" not in Request("GET", "/").raw("localhost")
