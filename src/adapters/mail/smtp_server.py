"""Which server takes mails, in a module of its own: the settings are read where nothing is sent."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails go. `smtps` is TLS from the first byte; `smtp` is upgraded by STARTTLS, and refused without it.

    On this very machine, where nobody listens in, a server without TLS will do.
    """

    host: str
    port: int
    implicit_tls: bool
    username: str | None
    password: str | None = field(repr=False)

    @property
    def requires_starttls(self) -> bool:
        return not self.implicit_tls and self.host not in _LOOPBACK

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Read `smtp://user:password@host:587` or `smtps://…:465`. Raises `ValueError`."""
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("not an SMTP URL")
        implicit = parts.scheme == "smtps"
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if implicit else 587),
            implicit_tls=implicit,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )
