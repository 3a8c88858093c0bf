"""What the identity routes read. Each struct is the schema of a body, and turns into the command of its use case.

Where Unicode normalisation decides about a length (names, passwords), the bound stands in the JSON Schema for people
and generators, and the domain enforces it: it refuses at once what cannot come to so few characters, and normalises
the rest.
"""

from typing import Annotated

import msgspec

from application.identity.change_password import ChangePasswordCommand
from application.identity.edit_profile import EditProfileCommand
from application.identity.log_in import LogInCommand
from application.identity.refresh_session import RefreshSessionCommand
from application.identity.second_factor import Proof
from application.identity.sign_up import SignUpCommand
from domain.identity.user import UNSET, Unset
from domain.identity.values import (
    EMAIL_MAX_LENGTH,
    NAME_MAX_LENGTH,
    PASSWORD_MAX_LENGTH,
    PASSWORD_MIN_LENGTH,
    PHONE_MAX_LENGTH,
    PHONE_PATTERN,
    USERNAME_MAX_LENGTH,
    USERNAME_MIN_LENGTH,
    Device,
    EmailAddress,
    Password,
    PersonName,
    PhoneNumber,
    Username,
    bounded_email,
)
from domain.shared.actor import Actor
from domain.shared.errors import FieldError, Invalid
from domain.shared.text import EXPANSION, canonical_key
from entrypoints.http.edge.json_body import Parsed


def email_address(raw: str) -> EmailAddress:
    """Parse an address by its syntax: internationalised ones too (RFC 6531), without asking the DNS.

    Raises `Invalid`. A domain in Punycode and the same in Unicode come out as one.
    """
    # Imported for the first address that anybody sends: its patterns take 20 ms of a start to compile.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        found = validate_email(bounded_email(raw), check_deliverability=False)
    except EmailNotValidError as refused:
        raise Invalid([FieldError("email", "format", f"is not an e-mail address: {refused}")]) from None
    return EmailAddress.parse(found.normalized)


def email_key(raw: str) -> str:
    """Return the key of an address that somebody logs in with; one that cannot exist is as good as unknown."""
    try:
        return email_address(raw).key
    except Invalid:
        return canonical_key(raw[: EMAIL_MAX_LENGTH + 1])


Email = Annotated[
    str,
    msgspec.Meta(
        max_length=EMAIL_MAX_LENGTH * EXPANSION,
        description="An e-mail address; internationalised ones are welcome.",
        examples=["alice@example.com"],
        extra_json_schema={"format": "idn-email", "minLength": 3, "maxLength": EMAIL_MAX_LENGTH},
    ),
    Parsed(email_address),
]
NewPassword = Annotated[
    str,
    msgspec.Meta(
        description="12 to 256 characters of any kind, counted after NFKC. Not a common password, not your own e-mail "
        "address or username.",
        examples=["a walrus in the library"],
        extra_json_schema={"format": "password", "minLength": PASSWORD_MIN_LENGTH, "maxLength": PASSWORD_MAX_LENGTH},
    ),
    Parsed(Password.new),
]
CLAIM_MAX_LENGTH = 100_000
"""Characters of what somebody claims to know. What is too long to be right is wrong like anything else (401), and cut
before anything is done with it; only what nobody can mean is refused by its length."""

KnownPassword = Annotated[
    str,
    msgspec.Meta(
        max_length=CLAIM_MAX_LENGTH,
        examples=["a walrus in the library"],
        extra_json_schema={"format": "password"},
    ),
]
KnownEmail = Annotated[str, msgspec.Meta(max_length=CLAIM_MAX_LENGTH, examples=["alice@example.com"])]
"""An address that an account may have; what cannot be one is as good as unknown."""
Handle = Annotated[
    str,
    msgspec.Meta(
        description="Letters and digits of any one script with the marks that belong to them (UAX #31, UTS #39), `_`, "
        "`.` and `-`; begins and ends with a letter or digit. Unique without regard to case and joiners. Names such as "
        "`admin` are reserved.",
        examples=["alice"],
        extra_json_schema={"minLength": USERNAME_MIN_LENGTH, "maxLength": USERNAME_MAX_LENGTH},
    ),
    Parsed(Username.parse),
]
DisplayName = Annotated[
    str,
    msgspec.Meta(
        description="How you want to be called.",
        examples=["Alice Liddell"],
        extra_json_schema={"minLength": 1, "maxLength": NAME_MAX_LENGTH},
    ),
    Parsed(PersonName.parse),
]
Code = Annotated[
    str, msgspec.Meta(max_length=32, description="Six digits of the authenticator app.", examples=["492039"])
]
RecoveryCode = Annotated[
    str,
    msgspec.Meta(
        max_length=64, description="One of the codes shown at enrolment; spent by it.", examples=["k3vd-0x9m-trqa-77fe"]
    ),
]
Phone = Annotated[
    str,
    msgspec.Meta(pattern=PHONE_PATTERN, max_length=PHONE_MAX_LENGTH, description="E.164.", examples=["+4915112345678"]),
    Parsed(PhoneNumber.parse),
]


class SignUpBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A new account."""

    email: Email
    password: NewPassword
    username: Handle | None = None
    name: DisplayName | None = None

    def command(self, device: Device) -> SignUpCommand:
        return SignUpCommand(
            email=email_address(self.email),
            password=Password.new(self.password),
            username=None if self.username is None else Username.parse(self.username),
            name=None if self.name is None else PersonName.parse(self.name),
            device=device,
        )


class LogInBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Credentials. What cannot be right is wrong like any other, and not told apart."""

    email: KnownEmail
    password: KnownPassword
    code: Code | None = None
    recovery_code: RecoveryCode | None = None

    def command(self, device: Device) -> LogInCommand:
        return LogInCommand(
            email_key=email_key(self.email),
            password=Password.attempt(self.password),
            device=device,
            proof=Proof(code=self.code, recovery_code=self.recovery_code),
        )


class RefreshBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The newest refresh token of a session."""

    refresh_token: Annotated[
        str, msgspec.Meta(max_length=CLAIM_MAX_LENGTH, description="Opaque; as it was handed out.")
    ]

    def command(self) -> RefreshSessionCommand:
        return RefreshSessionCommand(self.refresh_token)


class EditProfileBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Changes to one's profile: what is left out stays, `null` takes a name or a phone number away."""

    name: DisplayName | msgspec.UnsetType | None = msgspec.UNSET
    username: Handle | msgspec.UnsetType = msgspec.UNSET
    phone: Phone | msgspec.UnsetType | None = msgspec.UNSET

    def command(self, actor: Actor, if_version: int | None) -> EditProfileCommand:
        return EditProfileCommand(
            actor=actor,
            username=UNSET if self.username is msgspec.UNSET else Username.parse(self.username),
            name=self._name(),
            phone=self._phone(),
            if_version=if_version,
        )

    def _name(self) -> PersonName | Unset | None:
        if self.name is msgspec.UNSET:
            return UNSET
        return None if self.name is None else PersonName.parse(self.name)

    def _phone(self) -> PhoneNumber | Unset | None:
        if self.phone is msgspec.UNSET:
            return UNSET
        return None if self.phone is None else PhoneNumber.parse(self.phone)


class ChangePasswordBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The password of today and the one to come."""

    current_password: KnownPassword
    new_password: NewPassword

    def command(self, actor: Actor, if_version: int | None) -> ChangePasswordCommand:
        return ChangePasswordCommand(
            actor=actor,
            current=Password.attempt(self.current_password),
            new=Password.new(self.new_password, field_name="new_password"),
            if_version=if_version,
        )
