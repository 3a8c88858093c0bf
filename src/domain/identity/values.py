"""Value objects of identity. Each is valid or does not exist: `parse` raises `Invalid` with the field's name."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from domain.identity.identifiers import fault_of
from domain.shared.errors import FieldError, Invalid
from domain.shared.text import (
    EXPANSION,
    canonical_key,
    has_control_characters,
    identifier_key,
    is_stream_safe,
    normal_form,
    parse_normal_form,
    require_visible,
)

EMAIL_MAX_LENGTH = 254
"""Characters; RFC 5321's limit on a path, less its angle brackets."""
EMAIL_LOCAL_MAX_BYTES, EMAIL_DOMAIN_MAX_BYTES, EMAIL_LABEL_MAX_BYTES = 64, 253, 63
"""Bytes of UTF-8 on either side of the @ and in a label (RFC 5321, section 4.5.3.1; RFC 1035, section 2.3.4).

A domain in Unicode takes more bytes in Punycode, which is counted at the edge.
"""
USERNAME_MIN_LENGTH, USERNAME_MAX_LENGTH = 3, 32
NAME_MAX_LENGTH = 100
PASSWORD_MIN_LENGTH, PASSWORD_MAX_LENGTH = 12, 256
"""Characters after NFKC. The upper bound keeps the cost of one hash bounded."""
PHONE_MAX_LENGTH = 16
PHONE_PATTERN = r"^\+[1-9][0-9]{6,14}$"
"""E.164: a plus, a country code, 15 digits at the most; fewer than 7 reach nobody."""

_PHONE = re.compile(PHONE_PATTERN, re.ASCII)


class UserStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address as its owner wrote it, and the key by which it is unique.

    Whether the syntax is deliverable is checked at the edge by a library made for it; here only what uniqueness and
    storage rely on.
    """

    value: str
    key: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        value = normal_form(bounded_email(raw), "NFC")
        local, at, domain = value.rpartition("@")
        if not (local and at and domain) or len(value) > EMAIL_MAX_LENGTH or has_control_characters(value):
            raise Invalid([FieldError("email", "format", "is not an e-mail address")])
        if len(local.encode()) > EMAIL_LOCAL_MAX_BYTES:
            message = f"is not an e-mail address: at most {EMAIL_LOCAL_MAX_BYTES} bytes may stand before the @"
            raise Invalid([FieldError("email", "format", message)])
        if _is_too_long_a_domain(domain):
            message = "is not an e-mail address: a domain has at most 253 bytes, and at most 63 between two dots"
            raise Invalid([FieldError("email", "format", message)])
        key = canonical_key(value)
        # NFKC makes up to 18 characters of one (U+FDFA), which no column is meant for.
        if len(key) > 2 * EMAIL_MAX_LENGTH:
            raise Invalid([FieldError("email", "format", "is not an e-mail address")])
        return cls(value, key)


def _is_too_long_a_domain(domain: str) -> bool:
    # In Punycode a label is never shorter than in characters, though it may be shorter than in bytes of UTF-8.
    labels = domain.rstrip(".").split(".")
    return len(domain) > EMAIL_DOMAIN_MAX_BYTES or any(len(label) > EMAIL_LABEL_MAX_BYTES for label in labels)


def bounded_email(raw: str) -> str:
    """Return `raw` trimmed, for whoever reads it as an address: bounded, and fit to be normalised. Raises `Invalid`."""
    value = raw.strip()
    if len(value) > EMAIL_MAX_LENGTH * EXPANSION or not is_stream_safe(value):
        raise Invalid([FieldError("email", "format", "is not an e-mail address")])
    return value


@dataclass(frozen=True, slots=True)
class Username:
    """A public handle: 3 to 32 letters and digits of any one script, and `_`, `.` or `-` between them.

    Which characters those are, and why a name of Latin and Cyrillic letters is none, is in `identifiers`.
    """

    value: str
    key: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        shortest, longest = USERNAME_MIN_LENGTH, USERNAME_MAX_LENGTH
        value = parse_normal_form(raw.strip(), "NFKC", field="username", shortest=shortest, longest=longest)
        key = identifier_key(value)
        # The key is checked too: folding can lengthen (`ß` becomes `ss`), and the column holds what was checked here.
        if len(key) > 2 * USERNAME_MAX_LENGTH:
            raise Invalid([FieldError("username", "length", "takes 3 to 32 characters")])
        fault = fault_of(value)
        if fault is not None:
            raise Invalid([FieldError("username", *fault)])
        return cls(value, key)


@dataclass(frozen=True, slots=True)
class PersonName:
    """A display name: 1 to 100 characters after trimming, of any script, visible and without controls."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        value = parse_normal_form(raw.strip(), "NFC", field="name", longest=NAME_MAX_LENGTH)
        if has_control_characters(value):
            raise Invalid([FieldError("name", "format", "takes no control characters")])
        require_visible(value, field="name")
        return cls(value)


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A telephone number in E.164 form, such as `+4915112345678`."""

    value: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        if not _PHONE.fullmatch(raw):  # `$` alone would let a line end through
            raise Invalid([FieldError("phone", "format", "is an E.164 number, such as +4915112345678")])
        return cls(raw)


@dataclass(frozen=True, slots=True)
class Password:
    """A clear-text password on its way to the hasher: NFKC, bounded in length, never printed."""

    value: str = field(repr=False)

    @classmethod
    def new(cls, raw: str, *, field_name: str = "password") -> Self:
        """Parse a password that somebody chooses: 12 to 256 characters of any kind (NIST SP 800-63B, 5.1.1.2)."""
        shortest, longest = PASSWORD_MIN_LENGTH, PASSWORD_MAX_LENGTH
        return cls(parse_normal_form(raw, "NFKC", field=field_name, shortest=shortest, longest=longest))

    @classmethod
    def attempt(cls, raw: str) -> Self:
        """Take a password that somebody claims to know. It need not satisfy the rules of today, only be bounded."""
        # What is longer than any password in any form is wrong, and so is a part of it that is too long for one.
        return cls(normal_form(raw[: PASSWORD_MAX_LENGTH * EXPANSION + 1], "NFKC")[: PASSWORD_MAX_LENGTH + 1])


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session was opened: the user agent (cut to 255 characters) and the address the server saw."""

    user_agent: str
    address: str

    @classmethod
    def of(cls, user_agent: str, address: str) -> Self:
        printable = "".join(c for c in user_agent if c.isprintable())
        return cls(printable[:255], address[:45])


@dataclass(frozen=True, slots=True)
class RefreshTokenHash:
    """SHA-256 of a refresh token: all that is ever stored of one."""

    digest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise ValueError("a SHA-256 digest has 32 bytes")
