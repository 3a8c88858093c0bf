"""The table of limits, and the documents that are made of it."""

from entrypoints.settings.rate_limits import RATE_LIMITS
from tools import rate_limits


def test_the_documents_list_the_limits_of_the_table() -> None:
    for path, text in rate_limits.documents().items():
        assert path.read_text() == text, "run: python -m tools.rate_limits"
        assert all(limit.setting in text for limit in RATE_LIMITS.values())


def test_limits_of_one_setting_have_one_default() -> None:
    for limit in RATE_LIMITS.values():
        assert limit.default == RATE_LIMITS[limit.setting_of or limit.name].default
