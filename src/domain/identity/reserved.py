"""Usernames that nobody signs up with, because they would be taken for the service itself, or for nothing at all."""

from collections.abc import Iterable
from typing import Final

from domain.identity.identifiers import skeletons
from domain.identity.values import Username

RESERVED: Final = (
    "admin", "administrator", "moderator", "mod", "root", "superuser", "sudo", "sysadmin", "sysop", "system",
    "operator", "owner", "official", "staff", "team", "postern", "bot", "service", "support", "help", "helpdesk",
    "security", "abuse", "privacy", "legal", "billing", "payments", "sales", "info", "contact",
    "postmaster", "hostmaster", "webmaster", "mailer-daemon", "daemon", "noreply", "no-reply",
    "null", "nil", "none", "undefined", "true", "false", "anonymous", "unknown", "nobody", "everybody", "everyone",
    "anyone", "deleted", "self", "user", "users", "account", "accounts", "profile", "settings", "status",
    "api", "www", "app", "mail", "email", "ftp", "smtp", "imap", "pop3", "ssh", "dns", "localhost", "static", "assets",
    "login", "logout", "signin", "signout", "signup", "register", "auth", "oauth", "sso", "session", "sessions",
    "password", "token", "tokens", "verify", "health", "metrics", "docs", "redoc", "openapi", "problems",
    "events", "posts", "orders", "votes", "webhooks", "feed", "search",
)  # fmt: skip
"""Of the system's own accounts and mailboxes (RFC 2142), of words that programs mistake for no value, of our paths."""


class ReservedUsernames:
    """The reserved names, and all that look like one: `Admin`, `ad.min`, `r00t`, one whose every letter is Cyrillic."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._looks = frozenset(look for name in (*RESERVED, *more) for look in skeletons(name))

    def __contains__(self, username: object) -> bool:
        return isinstance(username, Username) and not skeletons(username.value).isdisjoint(self._looks)
