"""What every `CommonPasswords` promises."""

from collections.abc import Callable

import pytest

from adapters.security.common_passwords import PackagedCommonPasswords
from application.identity.ports import CommonPasswords
from domain.shared.text import canonical_key
from tests.fakes import ListedCommonPasswords


def listed() -> CommonPasswords:
    return ListedCommonPasswords("passwordpassword")


@pytest.fixture(params=[listed, PackagedCommonPasswords], ids=["fake", "packaged"])
def common(request: pytest.FixtureRequest) -> CommonPasswords:
    make: Callable[[], CommonPasswords] = request.param
    return make()


def test_a_common_password_is_found_by_its_canonical_key(common: CommonPasswords) -> None:
    assert canonical_key("PassWordPassword") in common


def test_an_uncommon_one_is_not(common: CommonPasswords) -> None:
    assert "seventeen herons waltz" not in common


@pytest.mark.parametrize("key", [None, 7, b"passwordpassword"])
def test_what_is_no_password_is_not_common(common: CommonPasswords, key: object) -> None:
    assert key not in common
