"""Rate limits that are on, and that a load generator does not meet: it is one address, and a few users."""

from typing import Final

from entrypoints.settings import Settings

_MANY: Final = "1000000000"
"""A minute; no load generator sends as much."""


def out_of_the_way() -> dict[str, str]:
    """Return the product's own settings for that: every limit is still looked up, counted and told for each request."""
    known = Settings.load({"ENVIRONMENT": "testing", "DATABASE_URL": "memory://"}).shown()
    return {name: _MANY for name in known if name.startswith("RATE_LIMIT_") and name != "RATE_LIMIT_ENABLED"}
