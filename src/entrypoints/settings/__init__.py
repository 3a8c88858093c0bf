"""Settings: from the environment and `.env`, under plain names, all checked before anything starts.

One field of `Settings` is one setting: its name in the environment is the field's name in capitals. What the
environment says wins over `.env` in the working directory; an empty value counts as unset, because that is what
Compose passes on for a variable that nobody set. Every fault is reported, not just the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import Self

from adapters.security.ed25519 import SigningKeys
from adapters.security.hashing import HashingSettings
from adapters.sql.settings import DatabaseSettings
from application.shared.rate_limit import Limit
from entrypoints.settings import values
from entrypoints.settings.loading import DATA_DIRECTORY, Loader, own_hosts, process_environment
from entrypoints.settings.metadata import (
    BadSettings,
    SettingFault,
    SettingInfo,
    infos_of,
    setting,
    settings_of,
    shown_as,
)
from entrypoints.settings.rate_limits import RATE_LIMITS, rate_limit_infos
from entrypoints.settings.secret_key import development_key, secret_key_weakness
from entrypoints.settings.values import (
    MEMORY_URL,
    SECRET_KEY_MIN_BYTES,
    Environment,
    IpNetwork,
    LogLevel,
    Rate,
    mask_url,
)

__all__ = [
    "MEMORY_URL",
    "BadSettings",
    "Environment",
    "LogLevel",
    "Rate",
    "Settings",
    "development_key",
    "mask_url",
    "secret_key_weakness",
    "setting_infos",
]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, checked. Made by `load`; secrets, and URLs that may hold one, stay out of its repr."""

    environment: Environment = setting(
        lambda text: Environment(text.lower()),
        default="development",
        expected="development, testing, staging or production",
        about="What it runs for. Staging and production refuse unsafe settings.",
    )
    host: str = setting(
        values.host_name,
        default="127.0.0.1",
        expected="an address to listen on, such as 127.0.0.1, ::1 or 0.0.0.0",
        about="The address to listen on.",
    )
    port: int = setting(values.integer(1, 65535, "a port number"), default="8000", about="The port to listen on.")
    workers: int = setting(values.integer(1, 256), default="1", about="Processes that serve; about one per core.")
    drain_seconds: float | None = setting(
        values.seconds(0, 300),
        about="How long new connections are taken after SIGTERM, while /health/ready is 503. 5 in staging and "
        "production, else 0, unless set.",
    )
    database_url: str = setting(
        values.database_url,
        expected="a URL such as sqlite:///postern.db, mysql://user:password@host/name or "
        "postgresql://user:password@host/name",
        about="The database. Reserved characters in user and password are percent-encoded.",
        mask=values.mask_url,
    )
    database_engine: str = setting(
        values.one_of("fast", "plain"),
        default="fast",
        about="What runs the statements: `plain` is slower, and uses documented parts of the database libraries alone.",
    )
    database_pool_size: int = setting(
        values.integer(1, 1000), default="20", about="Connections that a worker keeps open, one half of them to write."
    )
    database_max_overflow: int = setting(
        values.integer(0, 1000), default="0", about="Connections beyond those, opened under load and closed again."
    )
    database_pool_timeout_seconds: float = setting(
        values.seconds(0.05, 300),
        default="5",
        about="How long a request waits for a connection before it is answered 503.",
    )
    database_connect_timeout_seconds: float = setting(
        values.seconds(0.05, 300), default="5", about="How long connecting may take."
    )
    database_statement_timeout_seconds: float = setting(
        values.seconds(0.05, 3600), default="10", about="How long one statement may take."
    )
    request_deadline_seconds: float = setting(
        values.seconds(0.5, 300),
        default="10",
        about="How long a request may wait for everything together, once its body is there, before it is answered 503.",
    )
    database_synchronous: str = setting(
        values.one_of("full", "normal"),
        default="full",
        about="SQLite: with `full` what was acknowledged survives a loss of power; with `normal` a commit does not "
        "wait for the disk, and the last moments may be lost with the power, though never the file's consistency.",
    )
    redis_url: str | None = setting(
        values.redis_url,
        expected="a URL such as redis://localhost:6379/0, rediss://… or unix:///path",
        about="Redis, which lets workers and instances share the cache of own posts. Optional.",
        mask=values.mask_url,
    )
    secret_key: str = setting(
        str,
        expected=f"at least {SECRET_KEY_MIN_BYTES} random bytes as text: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
        about="What tokens and cursors are signed with; the same for all workers and instances.",
        mask=values.mask_secret,
    )
    secret_key_previous: tuple[str, ...] = setting(
        values.secret_keys,
        default="",
        expected=f"keys of at least {SECRET_KEY_MIN_BYTES} bytes, separated by commas (so none may hold one)",
        about="Keys that are accepted besides SECRET_KEY and sign nothing: those before it, or the one to come.",
        mask=values.mask_secret,
    )
    jwt_private_key: str | None = setting(
        values.private_key,
        expected="an Ed25519 private key in PEM, or the name of its file: openssl genpkey -algorithm ed25519",
        about="Signs access tokens with EdDSA instead of HS256; the public key is at /.well-known/jwks.json. Optional.",
        mask=values.mask_secret,
    )
    jwt_keys_previous: tuple[str, ...] = setting(
        values.accepted_keys,
        default="",
        expected="Ed25519 keys in PEM, private or public, or the names of their files, separated by commas",
        about="Keys that are accepted besides JWT_PRIVATE_KEY and sign nothing: those before it, or the one to come.",
        mask=values.mask_secret,
    )
    token_issuer: str = setting(
        values.issuer,
        default="postern",
        expected="1 to 200 visible ASCII characters",
        about="The issuer (`iss`) and audience of access tokens; different for installations that share a key.",
    )
    access_token_expire_minutes: int = setting(
        values.integer(1, 1440, "whole minutes"), default="30", about="How long an access token is valid."
    )
    password_hash_memory_kib: int = setting(
        values.integer(8, 4_194_304, "KiB"),
        default="19456",
        about="Argon2id: memory for one hash. Raising it rehashes at the next log-in.",
    )
    password_hash_iterations: int = setting(values.integer(1, 100), default="2", about="Argon2id: passes over it.")
    password_hash_parallelism: int = setting(values.integer(1, 64), default="1", about="Argon2id: lanes.")
    password_hash_threads: int | None = setting(
        values.integer(1, 256), about="Hashes that a worker computes at once; unset, one per core less one."
    )
    password_hash_queue: int = setting(
        values.integer(0, 100_000),
        default="512",
        about="Hashes that may wait for a thread before sign-ups and log-ins are answered 503.",
    )
    allowed_hosts: tuple[str, ...] = setting(
        values.allowed_hosts,
        default="",
        expected="host names without a port, separated by commas; *.example.com covers sub-domains, * everything",
        about="What the Host header may say, besides the names of this machine itself.",
    )
    cors_origins: tuple[str, ...] = setting(
        values.origins,
        default="",
        expected="origins such as https://app.example.com, separated by commas, or * alone",
        about="Web pages from these origins may call the API (CORS).",
    )
    cache_ttl_seconds: int = setting(
        values.integer(0, 300, "whole seconds"),
        default="300",
        about="How long a page of own posts may be served from the cache; 0 turns it off.",
    )
    cache_max_bytes: int = setting(
        values.integer(0, 1 << 40, "a whole number of bytes"),
        default="67108864",
        about="Memory that a worker's cache may take; a page of 1 KiB or more counts twice, as it may be kept "
        "compressed too.",
    )
    feed_cache_seconds: float = setting(
        values.seconds(0, 60),
        default="2",
        about="How long those who are not signed in may be shown the same page of the public feed; 0 turns it off.",
    )
    live_max_streams: int = setting(
        values.integer(1, 100_000),
        default="1000",
        about="Streams of live events that a worker keeps open at once; who comes then is answered 503.",
    )
    live_max_streams_per_caller: int = setting(
        values.integer(1, 100_000),
        default="10",
        about="How many of them one account may have, or one address that is not signed in; who wants more is "
        "answered 429. Behind a proxy, name it in TRUSTED_PROXIES, or all callers have one address.",
    )
    body_seconds: float = setting(
        values.seconds(1, 3600),
        default="30",
        about="How long a request body may take to arrive; then it is answered 408 and the connection closed.",
    )
    body_min_rate: int = setting(
        values.integer(0, 1_000_000_000, "bytes a second"),
        default="240",
        about="The average rate that a body has to keep above, after its first 5 seconds.",
    )
    answer_seconds: float = setting(
        values.seconds(1, 3600),
        default="30",
        about="How long an answer may lie untaken before its connection is ended. Linux only.",
    )
    answer_min_rate: int = setting(
        values.integer(0, 1_000_000_000, "bytes a second"),
        default="240",
        about="The average rate at which an answer has to be taken that takes longer than that.",
    )
    connections_max: int = setting(
        values.integer(1, 1_000_000),
        default="4096",
        about="Connections that a worker takes at once besides those of live streams; fewer where the system does not "
        "let it open as many files (ulimit -n).",
    )
    connections_per_address: int = setting(
        values.integer(1, 1_000_000),
        default="512",
        about="How many of them one IPv4 address or IPv6 /64 may have; the longest silent ones beyond that are ended. "
        "Not counted for TRUSTED_PROXIES. Linux only.",
    )
    transfers_per_address: int = setting(
        values.integer(1, 100_000),
        default="32",
        about="Unfinished request bodies that a worker keeps of one IPv4 address or IPv6 /64, and as many large "
        "answers that are not taken yet; what is more is answered 429. Behind a proxy, name it in TRUSTED_PROXIES.",
    )
    transfers_max: int = setting(
        values.integer(1, 100_000),
        default="256",
        about="The same of all addresses together; what is more is answered 503.",
    )
    transfer_bytes_per_address: int = setting(
        values.integer(1_048_576, 1 << 40, "a whole number of bytes"),
        default="16777216",
        about="Bytes that a worker keeps of one address's unfinished bodies, and as many of its answers.",
    )
    transfer_bytes_max: int = setting(
        values.integer(1_048_576, 1 << 40, "a whole number of bytes"),
        default="67108864",
        about="The same of all addresses together.",
    )
    smtp_url: str | None = setting(
        values.smtp_url,
        expected="a URL such as smtp://user:password@mail.example.com:587 (STARTTLS) or smtps://…:465 (TLS)",
        about="The mail server. Unset, development keeps mails at /dev/mailbox, and elsewhere none are sent.",
        mask=values.mask_url,
    )
    mail_from: str = setting(
        values.mail_address,
        default=values.DEFAULT_SENDER,
        expected="an address such as Postern <hello@example.com>",
        about="Who mails come from.",
    )
    public_url: str | None = setting(
        values.public_url,
        expected="a URL such as https://app.example.com",
        about="Where people use the service: links in mails lead to /reset-password, /verify-email below it.",
    )
    api_url: str | None = setting(
        values.public_url,
        expected="a URL such as https://api.example.com",
        about="Where the API itself is reached from outside; unset, as this server listens. Events name it.",
    )
    broker_url: str | None = setting(
        values.broker_url,
        expected="a URL such as amqp://user:password@host/vhost, amqps://…, redis://host/0, rediss://…, or stdout:",
        about="Where the relay publishes events: RabbitMQ, Redis Streams or standard output. Unset, nowhere.",
        mask=values.mask_url,
    )
    broker_topic: str = setting(
        values.name_of,
        default="postern.events",
        expected="1 to 100 letters, digits and ._:-",
        about="The exchange (RabbitMQ) or stream (Redis) that events go to.",
    )
    relay_embedded: bool | None = setting(
        values.parse_boolean,
        about="Whether servers relay events and deliver webhooks themselves; unset, in development alone.",
    )
    relay_batch: int = setting(
        values.integer(1, 1000),
        default="100",
        about="Events that a relay takes at once: as many come twice when it dies.",
    )
    relay_max_attempts: int = setting(
        values.integer(1, 1000),
        default="10",
        about="How often an event that the broker refuses is tried before it is given up (`postern outbox list`).",
    )
    event_retention_days: int = setting(
        values.integer(1, 3650, "whole days"),
        default="7",
        about="How long events are kept for those who read them later.",
    )
    webhook_allowed_networks: tuple[IpNetwork, ...] = setting(
        values.networks,
        default="",
        expected="networks such as 10.0.0.0/8,fd00::/8, separated by commas",
        about="Networks that webhooks may be sent to although they are not public, and without TLS. None by default.",
    )
    trusted_proxies: tuple[IpNetwork, ...] = setting(
        values.networks,
        default="",
        expected="addresses or networks such as 10.0.0.0/8 or ::1, separated by commas",
        about="Reverse proxies whose X-Forwarded-For or Forwarded is believed. Behind others, all clients are one "
        "address.",
    )
    trusted_proxy_header: str | None = setting(
        values.one_of("x-forwarded-for", "forwarded"),
        about="The field that trusted proxies write. Unset, X-Forwarded-For is read, and Forwarded where that is "
        "absent; a proxy that writes Forwarded and passes X-Forwarded-For on unchanged needs this set.",
    )
    reserved_usernames: tuple[str, ...] = setting(
        values.usernames,
        default="",
        expected="usernames separated by commas",
        about="Usernames that only administrators give, besides the usual ones (admin, root, support); what looks like "
        "one of them counts too.",
    )
    hsts_max_age_seconds: int = setting(
        values.integer(0, 63_072_000, "whole seconds"),
        default="31536000",
        about="How long browsers are told to use nothing but HTTPS (HSTS), in staging and production; 0 tells them "
        "nothing.",
    )
    rate_limit_enabled: bool = setting(
        values.parse_boolean,
        default="true",
        about="Whether there are rate limits at all. Staging and production do not go without.",
    )
    rates: Mapping[str, Rate] = settings_of(rate_limit_infos)
    """Of the rate limits, by the names of their settings."""
    metrics_allowed: tuple[IpNetwork, ...] = setting(
        values.networks,
        default="127.0.0.0/8,::1",
        expected="addresses or networks such as 10.0.0.0/8 or ::1, separated by commas",
        about="Who may read /metrics.",
    )
    metrics_token: str | None = setting(
        values.metrics_token,
        expected="16 to 500 characters of a bearer token: letters, digits and -._~+/",
        about="With it, /metrics wants `Authorization: Bearer` with this besides. Optional.",
        mask=values.mask_secret,
    )
    request_log: bool = setting(
        values.parse_boolean, default="true", about="One line on standard error for each request."
    )
    log_level: LogLevel = setting(
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
        source = process_environment(directory, faults) if environ is None else environ
        found = Loader(setting_infos(cls), source, directory, faults).values()
        rates = {name: found.pop(name.lower()) for name in rate_limit_infos()}
        return cls(**found, rates=rates)

    @cached_property
    def database(self) -> DatabaseSettings:
        return DatabaseSettings(
            url=self.database_url,
            engine=self.database_engine,
            pool_size=self.database_pool_size,
            max_overflow=self.database_max_overflow,
            # What goes on after the request was answered keeps a connection for nothing.
            pool_timeout_seconds=min(self.database_pool_timeout_seconds, self.request_deadline_seconds),
            connect_timeout_seconds=min(self.database_connect_timeout_seconds, self.request_deadline_seconds),
            statement_timeout_seconds=min(self.database_statement_timeout_seconds, self.request_deadline_seconds),
            lock_timeout_seconds=min(5.0, self.request_deadline_seconds / 2),
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
    def limits(self) -> Mapping[str, Limit]:
        """The rate limits, by name."""
        rates = {name: self.rates[limit.setting] for name, limit in RATE_LIMITS.items()}
        return {name: Limit(name, rate.amount, rate.seconds) for name, rate in rates.items()}

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
    def mail_links_use_own_pages(self) -> bool:
        """Whether these are links to this server's own pages, and not to a front end."""
        return self.public_url is None or self.public_url == self.api_url

    @property
    def events_source(self) -> str:
        """What events say they come from."""
        return f"{self.api_url or self._own_url}/api/v1"

    @property
    def allows_own_hosts_only(self) -> bool:
        """Whether ALLOWED_HOSTS names nothing: then no client reaches the server by a name of its own."""
        return self.allowed_hosts == own_hosts(self.host)

    @property
    def embeds_relay(self) -> bool:
        """Whether servers do what `postern relay` does elsewhere."""
        return self.environment is Environment.DEVELOPMENT if self.relay_embedded is None else self.relay_embedded

    @property
    def effective_drain_seconds(self) -> float:
        """How long the server takes new connections after it was told to stop."""
        if self.drain_seconds is None:
            return 5.0 if self.environment.is_exposed else 0.0
        return self.drain_seconds

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
        """Return every setting as it takes effect, by name, as text with secrets masked; empty where there is none."""
        effective: dict[str, object] = {
            **self.rates,
            "DRAIN_SECONDS": self.effective_drain_seconds,
            "PASSWORD_HASH_THREADS": self.hashing.threads_at_once,
            "RELAY_EMBEDDED": self.embeds_relay,
            "PUBLIC_URL": self.mail_links,
            "API_URL": self.api_url or self._own_url,
        }
        return {
            name: shown_as(effective[name] if name in effective else getattr(self, name.lower()), info)
            for name, info in setting_infos(type(self)).items()
        }


def setting_infos(cls: type[Settings] = Settings) -> dict[str, SettingInfo]:
    """Return what is known of each setting, by its name in the environment, in the order of the documentation."""
    return infos_of(cls)
