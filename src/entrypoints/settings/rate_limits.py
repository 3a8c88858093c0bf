"""Rate limits: a limit is one row of `RATE_LIMITS`, and is stated nowhere else.

Made of the rows are the settings (`Settings.limits`), what the edge counts for each route
(`entrypoints.http.edge.rate_limits`), and the tables of the documents (`python -m tools.rate_limits`, which a test
holds).
"""

from enum import StrEnum
from typing import Final, NamedTuple

from entrypoints.settings.metadata import SettingInfo
from entrypoints.settings.values import rate

EVERY: Final = ("every request",)
WRITES: Final = ("every write",)
READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Key(StrEnum):
    """What has a count of its own. An address is an IPv4 address, or the /64 of one of IPv6."""

    ACCOUNT = "account"
    ADDRESS = "address"
    ANONYMOUS = "address without a valid token"
    USE_CASE = "set by the use case"
    """What the limit counts is only known once the body is read (`application.identity.rate_limited`)."""


class RateLimit(NamedTuple):
    name: str
    """What clients and operators see; lower-case words with hyphens."""
    default: str
    key: Key
    requests: tuple[str, ...]
    """What it counts: `EVERY`, `WRITES`, or methods and templates of routes, such as `PUT /api/v1/posts/{id}/vote`."""
    about: str
    setting_of: str | None = None
    """The limit whose setting, and default, is this one's too; None for a setting of its own."""

    @property
    def setting(self) -> str:
        return "RATE_LIMIT_" + (self.setting_of or self.name).upper().replace("-", "_")

    def counts(self, method: str, template: str) -> bool:
        """Return whether requests of a route count. Routes alone have requests that a limit names."""
        if self.requests == WRITES:
            return method not in READS
        return self.requests == EVERY or f"{method} {template}" in self.requests


_SIGN_UP: Final = ("POST /api/v1/auth/signup",)
_REFRESH: Final = ("POST /api/v1/auth/refresh",)
_LOG_IN: Final = ("POST /api/v1/auth/login",)
_FORGOT: Final = ("POST /api/v1/auth/password/forgot", "POST /forgot-password")
_VERIFY: Final = ("POST /api/v1/auth/email/verify/resend",)

_ROWS: Final = (
    RateLimit("address", "600/minute", Key.ANONYMOUS, EVERY, "requests of one address without a valid token"),
    RateLimit("user", "1200/minute", Key.ACCOUNT, EVERY, "requests of one account, over all its sessions and API keys"),
    RateLimit("writes", "300/minute", Key.ACCOUNT, WRITES, "writes of one account: POST, PUT, PATCH and DELETE"),
    RateLimit("sign-up", "60/hour", Key.ADDRESS, _SIGN_UP, "sign-ups that one address tries"),
    RateLimit("refresh", "300/5 minutes", Key.ADDRESS, _REFRESH, "tokens that one address refreshes"),
    RateLimit("log-in", "10/15 minutes", Key.USE_CASE, _LOG_IN, "failed log-ins to one account from one address"),
    RateLimit(
        "log-in-address", "300/15 minutes", Key.USE_CASE, _LOG_IN, "failed log-ins of one address, to all accounts"
    ),
    RateLimit(
        "log-in-account",
        "100/hour",
        Key.USE_CASE,
        _LOG_IN,
        "failed log-ins to one account; addresses that logged in to it in the last 30 days are let through",
    ),
    RateLimit("forgot", "5/hour", Key.USE_CASE, _FORGOT, "mails for a new password that are requested for one account"),
    RateLimit("forgot-address", "30/hour", Key.USE_CASE, _FORGOT, "mails for a new password that one address requests"),
    # To an address that its owner may never have typed, as with a forgotten password.
    RateLimit("verify", "5/hour", Key.ACCOUNT, _VERIFY, "mails of verification that one account requests", "forgot"),
)
RATE_LIMITS: Final = {limit.name: limit for limit in _ROWS}


def rate_limit_infos() -> dict[str, SettingInfo]:
    """Return what is known of the settings of all limits, by name."""
    infos: dict[str, SettingInfo] = {}
    for limit in RATE_LIMITS.values():
        shared = infos.get(limit.setting)
        about = limit.about if shared is None else f"{shared.about}; {limit.about}"
        infos[limit.setting] = SettingInfo(rate, limit.default, rate.expected, about)
    return infos
