"""How each kind of setting is read from text, and shown again without what is secret."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import parseaddr
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from adapters.mail.smtp_server import SmtpServer
from adapters.security.ed25519 import SigningKeys, read_public

T_co = TypeVar("T_co", covariant=True)

SECRET_KEY_MIN_BYTES = 32
"""RFC 7518, section 3.2: a key for HS256 has at least as many bits as its hash."""

MASK = "***"


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TESTING = "testing"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def is_exposed(self) -> bool:
        """Tell whether strangers may reach it, so that convenience gives way to safety."""
        return self in {Environment.STAGING, Environment.PRODUCTION}


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def mask_secret(value: str) -> str:
    return f"{MASK} ({len(value.encode())} bytes)"


def mask_url(url: str) -> str:
    """Return `url` without the password in its authority or its query; when in doubt, more is hidden than need be."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    # Up to the *last* `@`: a password may hold an unescaped one, and this is also shown when the URL is wrong.
    userinfo, at, location = rest.rpartition("@")
    if at and ":" in userinfo:
        rest = f"{userinfo.partition(':')[0]}:{MASK}@{location}"
    rest = re.sub(r"(?i)([?&](?:password|passwd|secret|token)=)[^&#]*", rf"\1{MASK}", rest)
    return f"{scheme}{separator}{rest}"


# Parsers. Each takes non-empty text without blanks at the ends and raises ValueError for what it does not take.


@dataclass(frozen=True, slots=True)
class Parser(Generic[T_co]):
    """A parser that says itself what it takes."""

    parse: Callable[[str], T_co]
    expected: str

    def __call__(self, text: str) -> T_co:
        return self.parse(text)


def integer(low: int, high: int, what: str = "a whole number") -> Parser[int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return Parser(parse, f"{what} from {low} to {high}")


def seconds(low: float, high: float) -> Parser[float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError(text)
        return float(text)

    return Parser(parse, f"seconds from {low} to {high}")


def one_of(*words: str) -> Parser[str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return Parser(parse, " or ".join(words))


def items(text: str) -> Iterator[str]:
    return (stripped for item in text.split(",") if (stripped := item.strip()))


def host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", text):
        raise ValueError(text)
    return text


def allowed_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(host.lower() for host in items(text))
    for host in hosts:
        if not re.fullmatch(r"\*|(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\]", host):
            raise ValueError(host)
    return hosts


def usernames(text: str) -> tuple[str, ...]:
    names = tuple(items(text))
    if any(len(name) > 100 or not name.isprintable() for name in names):
        raise ValueError(text)
    return names


def origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.lower() for origin in items(text))
    if "*" in origins and len(origins) > 1:
        raise ValueError(text)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin):
            raise ValueError(origin)
    return origins


def issuer(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", text):
        raise ValueError(text)
    return text


_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "mysql": "mysql+asyncmy",
    "mysql+asyncmy": "mysql+asyncmy",
    "mariadb": "mysql+asyncmy",
    "mariadb+asyncmy": "mysql+asyncmy",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
"""The spellings that other tools and hosting services hand out, each to the asynchronous driver we use."""

MEMORY_URL = "memory://"
"""Storage that lives and dies with the process: for tests and for trying things out."""


def split_url(text: str) -> SplitResult:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError for what is no port
    return parts


def database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(text)
    if scheme.lower() == "memory":
        return MEMORY_URL
    driver = _DRIVERS.get(scheme.lower(), "")
    url = f"{driver}://{rest}"
    if driver.startswith("sqlite"):
        # Only a file can be shared by the connections of a pool, and by workers.
        path = rest.partition("?")[0]
        if not path.startswith("/") or path in {"/", "//"} or path.lstrip("/").startswith((":memory:", "file:")):
            raise ValueError(text)
        return url
    parts = split_url(url)
    if not driver or not parts.hostname or not parts.path.strip("/"):
        raise ValueError(text)
    return url


def secret_keys(text: str) -> tuple[str, ...]:
    keys = tuple(items(text))
    if any(len(key.encode()) < SECRET_KEY_MIN_BYTES for key in keys):
        raise ValueError("a key is too short")
    return keys


def pem(text: str) -> str:
    r"""Return a key in PEM, given as such (with `\n` for line ends, if need be) or by the name of its file."""
    if "-----BEGIN" in text:
        return text.replace("\\n", "\n") + "\n"
    try:
        return Path(text).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError("not a readable file") from error


def private_key(text: str) -> str:
    key = pem(text)
    SigningKeys.load(key)
    return key


def accepted_keys(text: str) -> tuple[str, ...]:
    keys = tuple(pem(item) for item in items(text))
    for key in keys:
        read_public(key)
    return keys


def smtp_url(text: str) -> str:
    SmtpServer.parse(text)
    _ = split_url(text)
    return text


DEFAULT_SENDER = "Postern <postern@localhost.localdomain>"


def mail_address(text: str) -> str:
    # It is known to be good, and checking that would import the validator at every start.
    return text if text == DEFAULT_SENDER else checked_mail_address(text)


def checked_mail_address(text: str) -> str:
    from email_validator import validate_email  # noqa: PLC0415 - a fifth of the import of this module, seldom needed

    display_name, address = parseaddr(text)
    # `strict` bounds what stands before the @ (RFC 5321, section 4.5.3.1.1), which a mail server may refuse otherwise.
    parsed = validate_email(
        address, check_deliverability=False, test_environment=True, allow_smtputf8=False, strict=True
    )
    return str(Address(display_name, addr_spec=parsed.normalized))


def public_url(text: str) -> str:
    parts = split_url(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(text)
    return text.rstrip("/")


def redis_url(text: str) -> str:
    parts = split_url(text)
    reachable = parts.path.strip("/") if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in {"redis", "rediss", "unix"} or not reachable:
        raise ValueError(text)
    return text


def broker_url(text: str) -> str:
    if text.rstrip(":/").lower() == "stdout":
        return "stdout:"
    parts = split_url(text)
    if parts.scheme not in {"amqp", "amqps", "redis", "rediss"} or not parts.hostname:
        raise ValueError(text)
    return text


def name_of(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", text):
        raise ValueError(text)
    return text


_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _truth(text: str) -> bool:
    try:
        return _TRUTHS[text.lower()]
    except KeyError as error:
        raise ValueError(text) from error


parse_boolean = Parser(_truth, "true or false")


IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(item) for item in items(text))


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen in how many seconds."""

    amount: int
    seconds: int

    def __str__(self) -> str:
        period, name = next((length, name) for name, length in _PERIODS.items() if self.seconds % length == 0)
        many = self.seconds // period
        return f"{self.amount}/{name}" if many == 1 else f"{self.amount}/{many} {name}s"


_PERIODS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}


def _rate(text: str) -> Rate:
    match = re.fullmatch(r"([1-9][0-9]{0,9})(?: */ *(?:([1-9][0-9]{0,4}) *)?(second|minute|hour|day)s?)?", text.lower())
    if match is None:
        raise ValueError(text)
    amount, many, period = match.groups()
    return Rate(int(amount), int(many or 1) * _PERIODS[period or "minute"])


rate = Parser(_rate, "a rate such as 600/minute, 10/15 minutes or 60/hour")


def metrics_token(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,500}=*", text):
        raise ValueError(text)
    return text
