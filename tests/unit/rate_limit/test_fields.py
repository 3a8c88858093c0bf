"""The two header fields that tell of limits."""

from application.shared.rate_limit import Limit, LimitState
from entrypoints.http.edge.rate_limits import LimitFields, ratelimit_fields

USER = Limit("user", 1200, 60)


def test_the_fields_of_one_limit_are_those_of_a_list_of_one() -> None:
    for remaining, resets_in in ((1199, 60.0), (1, 41.2), (0, 0.001), (7, 0.0)):
        expected = ratelimit_fields([LimitState(USER, remaining, resets_in)])
        assert LimitFields(USER).of(remaining, resets_in) == expected
    assert dict(LimitFields(USER).of(1187, 41.2)) == {
        b"ratelimit-policy": b'"user";q=1200;w=60',
        b"ratelimit": b'"user";r=1187;t=42',
    }
