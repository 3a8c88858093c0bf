"""Signing up."""

from dataclasses import dataclass, field

from application.identity.ports import CommonPasswords, PasswordHasher
from application.identity.register import RegisterCommand
from application.identity.views import SignedUpView
from application.shared.ids import UsernameGenerator
from application.shared.use_case import UseCase
from domain.identity.errors import UsernameTaken
from domain.identity.policies import require_acceptable_password, require_unreserved
from domain.identity.reserved import ReservedUsernames
from domain.identity.values import Device, EmailAddress, Password, PersonName, Username

_SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class SignUpCommand:
    email: EmailAddress
    password: Password = field(repr=False)
    username: Username | None
    name: PersonName | None
    device: Device


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """Create an account and sign it in.

    An e-mail address and a username each belong to one account, compared without regard to case or Unicode form. Some
    usernames are reserved (`admin`, `support`), and so is what looks like one. Without a username one is generated. The
    password may be anything of 12 to 256 characters that is not among the commonest and is not the caller's own address
    or username.
    """

    hasher: PasswordHasher
    common_passwords: CommonPasswords
    usernames: UsernameGenerator
    reserved: ReservedUsernames
    register: UseCase[RegisterCommand, SignedUpView]

    async def execute(self, command: SignUpCommand) -> SignedUpView:
        if command.username is not None:
            require_unreserved(command.username, self.reserved)
        require_acceptable_password(
            command.password,
            email=command.email,
            username=command.username,
            is_common=self.common_passwords.__contains__,
        )
        password_hash = await self.hasher.hash(command.password)
        if command.username is not None:
            return await self._store(command, command.username, password_hash)
        for _ in range(_SUGGESTIONS - 1):
            try:
                return await self._store(command, self._suggested(), password_hash)
            except UsernameTaken:
                continue
        return await self._store(command, self._suggested(), password_hash)

    def _suggested(self) -> Username:
        """Return a generated username; one that is reserved is passed over, however unlikely."""
        username = Username.parse(self.usernames.suggest())
        while username in self.reserved:
            username = Username.parse(self.usernames.suggest())
        return username

    async def _store(self, command: SignUpCommand, username: Username, password_hash: str) -> SignedUpView:
        return await self.register.execute(
            RegisterCommand(
                email=command.email,
                username=username,
                name=command.name,
                password_hash=password_hash,
                device=command.device,
            )
        )
