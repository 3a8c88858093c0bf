"""Settings: from the environment and `.env`, under plain names, all checked before anything starts.

One field of `Settings` is one setting: its name in the environment is the field's name in capitals. What the
environment says wins over `.env` in the working directory; an empty value counts as unset, because that is what
Compose passes on for a variable that nobody set. Every fault is reported, not just the first.
"""

import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from email.headerregistry import Address
from email.utils import parseaddr
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from dotenv.parser import parse_stream

from adapters.mail.smtp_server import SmtpServer
from adapters.security.ed25519 import SigningKeys, read_public
from adapters.security.hashing import HashingSettings
from adapters.sql.settings import DatabaseSettings

T = TypeVar("T")

ENV_FILE = Path(".env")
DATA_DIRECTORY = Path(".postern")
"""Where development keeps its key and its SQLite file; relative to the working directory and ignored by git."""
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


@dataclass(frozen=True, slots=True)
class SettingFault:
    """One faulty setting. `value` is fit to be shown: secrets are masked; None when nothing was given."""

    name: str
    value: str | None
    expected: str

    def __str__(self) -> str:
        given = "is not set" if self.value is None else f"is {self.value!r}"
        return f"{self.name} {given}; expected {self.expected}"


class BadSettings(Exception):
    """Some settings are missing or wrong. Holds every fault at once, in the order of the documentation."""

    def __init__(self, faults: Sequence[SettingFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What is known of a setting besides its value: how to read it, what it takes, what it is for."""

    parse: Callable[[str], object]
    default: str | None
    expected: str
    about: str
    mask: Callable[[str], str] | None = None


def _setting(
    parse: Callable[[str], T],
    *,
    default: str | None,
    expected: str,
    about: str,
    mask: Callable[[str], str] | None = None,
) -> T:
    info = SettingInfo(parse, default, expected, about, mask)
    # `field()` is typed as returning what it will hold, the usual fiction of dataclasses.
    return cast("T", field(repr=mask is None, metadata={"setting": info}))


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


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError(text)
        return float(text)

    return parse


def _list(text: str) -> Iterator[str]:
    return (stripped for item in text.split(",") if (stripped := item.strip()))


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", text):
        raise ValueError(text)
    return text


def _allowed_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(host.lower() for host in _list(text))
    for host in hosts:
        if not re.fullmatch(r"\*|(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\]", host):
            raise ValueError(host)
    return hosts


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.lower() for origin in _list(text))
    if "*" in origins and len(origins) > 1:
        raise ValueError(text)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin):
            raise ValueError(origin)
    return origins


def _issuer(text: str) -> str:
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


def _split(text: str) -> SplitResult:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError for what is no port
    return parts


def _database_url(text: str) -> str:
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
    parts = _split(url)
    if not driver or not parts.hostname or not parts.path.strip("/"):
        raise ValueError(text)
    return url


def _secrets(text: str) -> tuple[str, ...]:
    keys = tuple(_list(text))
    if any(len(key.encode()) < SECRET_KEY_MIN_BYTES for key in keys):
        raise ValueError("a key is too short")
    return keys


def _pem(text: str) -> str:
    r"""Return a key in PEM, given as such (with `\n` for line ends, if need be) or by the name of its file."""
    if "-----BEGIN" in text:
        return text.replace("\\n", "\n") + "\n"
    try:
        return Path(text).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError("not a readable file") from error


def _private_key(text: str) -> str:
    pem = _pem(text)
    SigningKeys.load(pem)
    return pem


def _accepted_keys(text: str) -> tuple[str, ...]:
    pems = tuple(_pem(item) for item in _list(text))
    for pem in pems:
        read_public(pem)
    return pems


def _smtp_url(text: str) -> str:
    SmtpServer.parse(text)
    _ = _split(text)
    return text


def _mailbox(text: str) -> str:
    from email_validator import validate_email  # noqa: PLC0415 - a fifth of the import of this module, seldom needed

    display_name, address = parseaddr(text)
    parsed = validate_email(address, check_deliverability=False, test_environment=True, allow_smtputf8=False)
    return str(Address(display_name, addr_spec=parsed.normalized))


def _public_url(text: str) -> str:
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(text)
    return text.rstrip("/")


def _redis_url(text: str) -> str:
    parts = _split(text)
    reachable = parts.path.strip("/") if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in {"redis", "rediss", "unix"} or not reachable:
        raise ValueError(text)
    return text


def _broker_url(text: str) -> str:
    if text.rstrip(":/").lower() == "stdout":
        return "stdout:"
    parts = _split(text)
    if parts.scheme not in {"amqp", "amqps", "redis", "rediss"} or not parts.hostname:
        raise ValueError(text)
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", text):
        raise ValueError(text)
    return text


def _synchronous(text: str) -> str:
    if text.lower() not in {"full", "normal"}:
        raise ValueError
    return text.lower()


def _yes_or_no(text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(text: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(item) for item in _list(text))


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
    match = re.fullmatch(r"([1-9][0-9]{0,9})(?: */ *([1-9][0-9]{0,4})? *(second|minute|hour|day)s?)?", text.lower())
    if match is None:
        raise ValueError(text)
    amount, many, period = match.groups()
    return Rate(int(amount), int(many or 1) * _PERIODS[period or "minute"])


def _metrics_token(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,500}=*", text):
        raise ValueError(text)
    return text


_A_RATE = "a rate such as 600/minute, 10/15 minutes or 60/hour"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, checked. Made by `load`; secrets, and URLs that may hold one, stay out of its repr."""

    environment: Environment = _setting(
        lambda text: Environment(text.lower()),
        default="development",
        expected="development, testing, staging or production",
        about="What it runs for. Staging and production refuse unsafe settings.",
    )
    host: str = _setting(
        _host,
        default="127.0.0.1",
        expected="an address to listen on, such as 127.0.0.1, ::1 or 0.0.0.0",
        about="The address to listen on.",
    )
    port: int = _setting(
        _integer(1, 65535), default="8000", expected="a port number from 1 to 65535", about="The port to listen on."
    )
    workers: int = _setting(
        _integer(1, 256),
        default="1",
        expected="a whole number from 1 to 256",
        about="Processes that serve; about one per core.",
    )
    database_url: str = _setting(
        _database_url,
        default=None,
        expected="a URL such as sqlite:///postern.db, mysql://user:password@host/name or "
        "postgresql://user:password@host/name",
        about="The database. Reserved characters in user and password are percent-encoded.",
        mask=mask_url,
    )
    database_pool_size: int = _setting(
        _integer(1, 1000),
        default="20",
        expected="a whole number from 1 to 1000",
        about="Connections that a worker keeps open, one half of them to write.",
    )
    database_max_overflow: int = _setting(
        _integer(0, 1000),
        default="0",
        expected="a whole number from 0 to 1000",
        about="Connections beyond those, opened under load and closed again.",
    )
    database_pool_timeout_seconds: float = _setting(
        _seconds(0.05, 300),
        default="5",
        expected="seconds from 0.05 to 300",
        about="How long a request waits for a connection before it is answered 503.",
    )
    database_connect_timeout_seconds: float = _setting(
        _seconds(0.05, 300), default="5", expected="seconds from 0.05 to 300", about="How long connecting may take."
    )
    database_statement_timeout_seconds: float = _setting(
        _seconds(0.05, 3600),
        default="10",
        expected="seconds from 0.05 to 3600",
        about="How long one statement may take.",
    )
    database_synchronous: str = _setting(
        _synchronous,
        default="full",
        expected="full or normal",
        about="SQLite: with `full` what was acknowledged survives a loss of power; with `normal` a commit does not "
        "wait for the disk, and the last moments may be lost with the power, though never the file's consistency.",
    )
    redis_url: str | None = _setting(
        cast("Callable[[str], str | None]", _redis_url),
        default=None,
        expected="a URL such as redis://localhost:6379/0, rediss://… or unix:///path",
        about="Redis, which lets workers and instances share the cache of own posts. Optional.",
        mask=mask_url,
    )
    secret_key: str = _setting(
        str,
        default=None,
        expected=f"at least {SECRET_KEY_MIN_BYTES} random bytes as text: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
        about="What tokens and cursors are signed with; the same for all workers and instances.",
        mask=mask_secret,
    )
    secret_key_previous: tuple[str, ...] = _setting(
        _secrets,
        default="",
        expected=f"keys of at least {SECRET_KEY_MIN_BYTES} bytes, separated by commas (so none may hold one)",
        about="Keys that are accepted besides SECRET_KEY and sign nothing: those before it, or the one to come.",
        mask=mask_secret,
    )
    jwt_private_key: str | None = _setting(
        cast("Callable[[str], str | None]", _private_key),
        default=None,
        expected="an Ed25519 private key in PEM, or the name of its file: openssl genpkey -algorithm ed25519",
        about="Signs access tokens with EdDSA instead of HS256; the public key is at /.well-known/jwks.json. Optional.",
        mask=mask_secret,
    )
    jwt_keys_previous: tuple[str, ...] = _setting(
        _accepted_keys,
        default="",
        expected="Ed25519 keys in PEM, private or public, or the names of their files, separated by commas",
        about="Keys that are accepted besides JWT_PRIVATE_KEY and sign nothing: those before it, or the one to come.",
        mask=mask_secret,
    )
    token_issuer: str = _setting(
        _issuer,
        default="postern",
        expected="1 to 200 visible ASCII characters",
        about="The issuer (`iss`) and audience of access tokens; different for installations that share a key.",
    )
    access_token_expire_minutes: int = _setting(
        _integer(1, 1440),
        default="30",
        expected="whole minutes from 1 to 1440",
        about="How long an access token is valid.",
    )
    password_hash_memory_kib: int = _setting(
        _integer(8, 4_194_304),
        default="19456",
        expected="KiB from 8 to 4194304",
        about="Argon2id: memory for one hash. Raising it rehashes at the next log-in.",
    )
    password_hash_iterations: int = _setting(
        _integer(1, 100), default="2", expected="a whole number from 1 to 100", about="Argon2id: passes over it."
    )
    password_hash_parallelism: int = _setting(
        _integer(1, 64), default="1", expected="a whole number from 1 to 64", about="Argon2id: lanes."
    )
    password_hash_threads: int | None = _setting(
        cast("Callable[[str], int | None]", _integer(1, 256)),
        default=None,
        expected="a whole number from 1 to 256",
        about="Hashes that a worker computes at once; unset, one per core less one.",
    )
    password_hash_queue: int = _setting(
        _integer(0, 100_000),
        default="512",
        expected="a whole number from 0 to 100000",
        about="Hashes that may wait for a thread before sign-ups and log-ins are answered 503.",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        _allowed_hosts,
        default="",
        expected="host names without a port, separated by commas; *.example.com covers sub-domains, * everything",
        about="What the Host header may say, besides the names of this machine itself.",
    )
    cors_origins: tuple[str, ...] = _setting(
        _origins,
        default="",
        expected="origins such as https://app.example.com, separated by commas, or * alone",
        about="Web pages from these origins may call the API (CORS).",
    )
    cache_ttl_seconds: int = _setting(
        _integer(0, 300),
        default="300",
        expected="whole seconds from 0 to 300",
        about="How long a page of own posts may be served from the cache; 0 turns it off.",
    )
    cache_max_bytes: int = _setting(
        _integer(0, 1 << 40),
        default="67108864",
        expected="a whole number of bytes from 0 to 1099511627776",
        about="Memory that a worker's cache may take.",
    )
    feed_cache_seconds: float = _setting(
        _seconds(0, 60),
        default="2",
        expected="seconds from 0 to 60",
        about="How long those who are not signed in may be shown the same page of the public feed; 0 turns it off.",
    )
    live_max_streams: int = _setting(
        _integer(1, 100_000),
        default="1000",
        expected="a whole number from 1 to 100000",
        about="Streams of live events that a worker keeps open at once; who comes then is answered 503.",
    )
    live_max_streams_per_caller: int = _setting(
        _integer(1, 100_000),
        default="10",
        expected="a whole number from 1 to 100000",
        about="How many of them one account may have, or one address that is not signed in; who wants more is "
        "answered 429. Behind a proxy, name it in TRUSTED_PROXIES, or all callers have one address.",
    )
    smtp_url: str | None = _setting(
        cast("Callable[[str], str | None]", _smtp_url),
        default=None,
        expected="a URL such as smtp://user:password@mail.example.com:587 (STARTTLS) or smtps://…:465 (TLS)",
        about="The mail server. Unset, development keeps mails at /dev/mailbox, and elsewhere none are sent.",
        mask=mask_url,
    )
    mail_from: str = _setting(
        _mailbox,
        default="Postern <postern@localhost.localdomain>",
        expected="an address such as Postern <hello@example.com>",
        about="Who mails come from.",
    )
    public_url: str | None = _setting(
        cast("Callable[[str], str | None]", _public_url),
        default=None,
        expected="a URL such as https://app.example.com",
        about="Where people use the service: links in mails lead to /reset-password, /verify-email below it.",
    )
    api_url: str | None = _setting(
        cast("Callable[[str], str | None]", _public_url),
        default=None,
        expected="a URL such as https://api.example.com",
        about="Where the API itself is reached from outside; unset, as this server listens. Events name it.",
    )
    broker_url: str | None = _setting(
        cast("Callable[[str], str | None]", _broker_url),
        default=None,
        expected="a URL such as amqp://user:password@host/vhost, amqps://…, redis://host/0, rediss://…, or stdout:",
        about="Where the relay publishes events: RabbitMQ, Redis Streams or standard output. Unset, nowhere.",
        mask=mask_url,
    )
    broker_topic: str = _setting(
        _name,
        default="postern.events",
        expected="1 to 100 letters, digits and ._:-",
        about="The exchange (RabbitMQ) or stream (Redis) that events go to.",
    )
    relay_embedded: bool | None = _setting(
        cast("Callable[[str], bool | None]", _yes_or_no),
        default=None,
        expected="true or false",
        about="Whether servers relay events and deliver webhooks themselves; unset, in development alone.",
    )
    relay_batch: int = _setting(
        _integer(1, 1000),
        default="100",
        expected="a whole number from 1 to 1000",
        about="Events that a relay takes at once: as many come twice when it dies.",
    )
    relay_max_attempts: int = _setting(
        _integer(1, 1000),
        default="10",
        expected="a whole number from 1 to 1000",
        about="How often an event that the broker refuses is tried before it is given up (`postern outbox list`).",
    )
    event_retention_days: int = _setting(
        _integer(1, 3650),
        default="7",
        expected="whole days from 1 to 3650",
        about="How long events are kept for those who read them later.",
    )
    webhook_allowed_networks: tuple[IpNetwork, ...] = _setting(
        _networks,
        default="",
        expected="networks such as 10.0.0.0/8,fd00::/8, separated by commas",
        about="Networks that webhooks may be sent to although they are not public, and without TLS. None by default.",
    )
    trusted_proxies: tuple[IpNetwork, ...] = _setting(
        _networks,
        default="",
        expected="addresses or networks such as 10.0.0.0/8 or ::1, separated by commas",
        about="Reverse proxies whose X-Forwarded-For is believed. Behind others, all clients are one address.",
    )
    rate_limit_enabled: bool = _setting(
        _yes_or_no,
        default="true",
        expected="true or false",
        about="Whether there are rate limits at all. Staging and production do not go without.",
    )
    rate_limit_address: Rate = _setting(
        _rate, default="600/minute", expected=_A_RATE, about="Requests of one address without a valid token."
    )
    rate_limit_user: Rate = _setting(
        _rate, default="1200/minute", expected=_A_RATE, about="Requests of one account, over all its tokens."
    )
    rate_limit_writes: Rate = _setting(
        _rate, default="300/minute", expected=_A_RATE, about="Those of them that change something."
    )
    rate_limit_sign_up: Rate = _setting(
        _rate, default="60/hour", expected=_A_RATE, about="Sign-ups that one address tries."
    )
    rate_limit_refresh: Rate = _setting(
        _rate, default="300/5 minutes", expected=_A_RATE, about="Tokens that one address refreshes."
    )
    rate_limit_log_in: Rate = _setting(
        _rate, default="10/15 minutes", expected=_A_RATE, about="Failed log-ins to one account from one address."
    )
    rate_limit_log_in_address: Rate = _setting(
        _rate, default="300/15 minutes", expected=_A_RATE, about="Failed log-ins from one address, to all accounts."
    )
    rate_limit_log_in_account: Rate = _setting(
        _rate,
        default="100/hour",
        expected=_A_RATE,
        about="Failed log-ins to one account from everywhere; addresses that it logged in from before are let through.",
    )
    rate_limit_forgot: Rate = _setting(
        _rate, default="5/hour", expected=_A_RATE, about="Mails for a new password that are asked for for one account."
    )
    rate_limit_forgot_address: Rate = _setting(
        _rate, default="30/hour", expected=_A_RATE, about="Mails for a new password that one address asks for."
    )
    metrics_allowed: tuple[IpNetwork, ...] = _setting(
        _networks,
        default="127.0.0.0/8,::1",
        expected="addresses or networks such as 10.0.0.0/8 or ::1, separated by commas",
        about="Who may read /metrics.",
    )
    metrics_token: str | None = _setting(
        cast("Callable[[str], str | None]", _metrics_token),
        default=None,
        expected="16 to 500 characters of a bearer token: letters, digits and -._~+/",
        about="With it, /metrics wants `Authorization: Bearer` with this besides. Optional.",
        mask=mask_secret,
    )
    request_log: bool = _setting(
        _yes_or_no, default="true", expected="true or false", about="One line on standard error for each request."
    )
    log_level: LogLevel = _setting(
        lambda text: LogLevel(text.lower()),
        default="info",
        expected="debug, info, warning, error or critical",
        about="The least serious messages that are logged.",
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, directory: Path | None = None) -> Self:
        """Read and check all settings. Raises `BadSettings` with every fault.

        Without `environ` they come from the process's environment and `.env`; with it, from there alone, which is what
        tests want. `directory` is the working directory unless given; `.env` and the development key live in it.
        """
        directory = directory or Path()
        faults: list[SettingFault] = []
        source = _process_environment(directory, faults) if environ is None else environ
        return cls(**_Loader(source, directory, faults).values())

    @cached_property
    def database(self) -> DatabaseSettings:
        return DatabaseSettings(
            url=self.database_url,
            pool_size=self.database_pool_size,
            max_overflow=self.database_max_overflow,
            pool_timeout_seconds=self.database_pool_timeout_seconds,
            connect_timeout_seconds=self.database_connect_timeout_seconds,
            statement_timeout_seconds=self.database_statement_timeout_seconds,
            survives_power_loss=self.database_synchronous == "full",
        )

    @cached_property
    def hashing(self) -> HashingSettings:
        return HashingSettings(
            memory_kib=self.password_hash_memory_kib,
            iterations=self.password_hash_iterations,
            parallelism=self.password_hash_parallelism,
            threads=self.password_hash_threads,
            queue=self.password_hash_queue,
        )

    @cached_property
    def signing_keys(self) -> SigningKeys | None:
        """The Ed25519 keys; None without any. Without a private one, access tokens are signed with HS256."""
        if self.jwt_private_key is None and not self.jwt_keys_previous:
            return None
        return SigningKeys.load(self.jwt_private_key, self.jwt_keys_previous)

    @cached_property
    def mail_sender(self) -> Address:
        display_name, address = parseaddr(self.mail_from)
        return Address(display_name, addr_spec=address)

    @property
    def mail_links(self) -> str:
        """What the links in mails begin with."""
        return self.public_url or self._own_url

    @property
    def events_source(self) -> str:
        """What events say they come from."""
        return f"{self.api_url or self._own_url}/api/v1"

    @property
    def relays_itself(self) -> bool:
        """Whether servers do what `postern relay` does elsewhere."""
        return self.environment is Environment.DEVELOPMENT if self.relay_embedded is None else self.relay_embedded

    @property
    def _own_url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - a comparison
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def mailbox_folder(self) -> Path | None:
        """Where mails are kept for the developer instead of being sent; None: they are not."""
        if self.environment is not Environment.DEVELOPMENT or self.smtp_url is not None:
            return None
        return DATA_DIRECTORY / "mailbox"

    @property
    def access_token_seconds(self) -> int:
        return self.access_token_expire_minutes * 60

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file, when it is SQLite."""
        prefix = "sqlite+aiosqlite:///"
        if not self.database_url.startswith(prefix):
            return None
        return Path(self.database_url.removeprefix(prefix).partition("?")[0])

    def shown(self) -> dict[str, str]:
        """Return every setting as text, by name, with secrets masked; what is not set is empty."""
        return {name: _show(getattr(self, name.lower()), info) for name, info in setting_infos(type(self)).items()}


def setting_infos(cls: type[Settings] = Settings) -> dict[str, SettingInfo]:
    """Return what is known of each setting, by its name in the environment, in the order of the documentation."""

    def info(field_: Field[Any]) -> SettingInfo:
        return cast("SettingInfo", field_.metadata["setting"])

    return {field_.name.upper(): info(field_) for field_ in fields(cls)}


def _show(value: object, info: SettingInfo) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(info.mask(item) if info.mask else str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return info.mask(text) if info.mask else text


def _process_environment(directory: Path, faults: list[SettingFault]) -> dict[str, str]:
    return {**_env_file(directory / ENV_FILE, faults), **{key: text for key, text in os.environ.items() if text}}


def _env_file(path: Path, faults: list[SettingFault]) -> dict[str, str]:
    """Read `.env`. python-dotenv only parses: it skips what it cannot read, and a skipped setting is a trap."""
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        faults.append(SettingFault(str(ENV_FILE), None, f"a readable file in UTF-8 ({error})"))
        return {}
    found: dict[str, str] = {}
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            # The line itself is not shown: it may hold a secret.
            expected = f"NAME=value on line {binding.original.line}"
            faults.append(SettingFault(str(ENV_FILE), "something else", expected))
        elif binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found


class _Loader:
    """Reads every setting, fills in the defaults that depend on others, and collects what is wrong."""

    def __init__(self, source: Mapping[str, str], directory: Path, faults: list[SettingFault]) -> None:
        self._infos = setting_infos()
        self._given = {name: text for name in self._infos if (text := source.get(name, "").strip())}
        self._directory = directory
        self._faults = faults
        self._values: dict[str, Any] = {}

    def values(self) -> dict[str, Any]:
        """Return the value of each field. Raises `BadSettings`."""
        self._values = {name.lower(): self._read(name, info) for name, info in self._infos.items()}
        environment: Environment = self._values["environment"]
        self._fill_in_database_url(environment)
        self._values["allowed_hosts"] = _with_own_hosts(self._values["allowed_hosts"], self._values["host"])
        if self._values["password_hash_memory_kib"] < 8 * self._values["password_hash_parallelism"]:
            self._fault("PASSWORD_HASH_MEMORY_KIB", "at least 8 KiB for each of PASSWORD_HASH_PARALLELISM")
        if environment.is_exposed and not _meets_owasp(self._values):
            expected = f"Argon2id at OWASP's floor or above in {environment}, such as 19456 KiB with 2 iterations"
            self._fault("PASSWORD_HASH_MEMORY_KIB", expected)
        self._fill_in_secret_key(environment)
        if environment.is_exposed and not self._values["rate_limit_enabled"]:
            self._fault("RATE_LIMIT_ENABLED", f"true in {environment}: raise the limits instead")
        if environment.is_exposed and self._values["smtp_url"] is not None:
            for name in ("MAIL_FROM", "PUBLIC_URL"):
                if name not in self._given:
                    self._fault(name, f"{self._infos[name].expected}, since SMTP_URL is set, in {environment}")
        if self._faults:
            order = list(self._infos)
            raise BadSettings(sorted(self._faults, key=lambda f: order.index(f.name) if f.name in order else -1))
        return self._values

    def _read(self, name: str, info: SettingInfo) -> object:
        text = self._given.get(name)
        if text is not None:
            try:
                return info.parse(text)
            except ValueError:
                self._fault(name)
        # Going on with the default after a fault finds the other faults.
        return None if info.default is None else info.parse(info.default)

    def _fault(self, name: str, expected: str | None = None) -> None:
        if any(fault.name == name for fault in self._faults):
            return  # A setting that cannot be read is not also too short, or missing.
        info = self._infos[name]
        text = self._given.get(name)
        shown = info.mask(text) if info.mask and text is not None else text
        self._faults.append(SettingFault(name, shown, expected or info.expected))

    def _fill_in_database_url(self, environment: Environment) -> None:
        url = self._values["database_url"]
        if url is None and environment.is_exposed:
            # A forgotten DATABASE_URL must not quietly begin a new, empty database.
            self._fault("DATABASE_URL")
        elif url is None:
            file = self._directory / DATA_DIRECTORY / "postern.db"
            self._values["database_url"] = f"sqlite+aiosqlite:///{file}"
        elif url == MEMORY_URL and environment.is_exposed:
            self._fault("DATABASE_URL", f"a database that outlives the process, in {environment}")
        elif url == MEMORY_URL and self._values["workers"] > 1:
            self._fault("WORKERS", "1, since workers cannot share a database in memory")

    def _fill_in_secret_key(self, environment: Environment) -> None:
        key = self._values["secret_key"]
        if environment.is_exposed:
            if weakness := secret_key_weakness(key or ""):
                self._fault("SECRET_KEY", f"{self._infos['SECRET_KEY'].expected} ({weakness})")
        elif key is not None:
            return
        elif environment is Environment.TESTING:
            # A test run leaves nothing behind, so each process makes its own key.
            self._values["secret_key"] = secrets.token_urlsafe(48)
            if self._values["workers"] > 1:
                self._fault("SECRET_KEY", "a key that the workers share, in testing")
        elif not self._faults:
            file = self._directory / DATA_DIRECTORY / "secret_key"
            try:
                self._values["secret_key"] = development_key(file)
            except (OSError, ValueError) as error:
                self._fault("SECRET_KEY", f"a key, or that one can be kept in {file} ({error})")


_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def _with_own_hosts(named: tuple[str, ...], host: str) -> tuple[str, ...]:
    """Add what this machine calls itself: health checks use it, and a page of somebody else's never does."""
    own = () if host in {"0.0.0.0", "::"} else (f"[{host}]" if ":" in host else host,)  # noqa: S104 - a comparison
    return tuple(dict.fromkeys((*_LOOPBACK_HOSTS, *(name.lower() for name in own), *named)))


_OWASP_FLOOR = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""KiB and passes of equal strength with one lane (OWASP Password Storage Cheat Sheet, 2023)."""


def _meets_owasp(values: Mapping[str, Any]) -> bool:
    memory, passes = values["password_hash_memory_kib"], values["password_hash_iterations"]
    return any(memory >= least_memory and passes >= least_passes for least_memory, least_passes in _OWASP_FLOOR)


_PLACEHOLDER = re.compile(
    r"change.?(me|this|it)|example|placeholder|insecure|(your|my|super).{0,5}secret|secret.{0,5}key|replace.{0,2}(me|this)"
    r"|your.?256|password|12345678",
    re.IGNORECASE,
)
_PUBLISHED = frozenset({"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"})
"""Keys that look random and stand in tutorials."""


def secret_key_weakness(key: str) -> str | None:
    """Say why a key must not sign anything that strangers can see; None when nothing speaks against it."""
    if not key:
        return "there is no default outside of development"
    if len(key.encode()) < SECRET_KEY_MIN_BYTES:
        return f"it has {len(key.encode())} bytes"
    if key in _PUBLISHED or _PLACEHOLDER.search(key):
        return "it is a placeholder or a published example"
    if len(set(key)) < 8:
        return "it repeats a few characters"
    return None


def development_key(path: Path) -> str:
    """Return the key kept in `path`, made on the first call; readable by its owner alone.

    Processes that start at the same time agree: the file appears whole, and the first one to link it wins.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".secret_key-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(secrets.token_urlsafe(48) + "\n")
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    key = path.read_text(encoding="ascii").strip()
    if len(key) < SECRET_KEY_MIN_BYTES:
        raise ValueError(f"{path} is damaged: remove it to get a new key")
    return key
