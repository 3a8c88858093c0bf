"""Creating an administrator, from the machine itself and not over the network."""

from dataclasses import dataclass, field

from application.identity.ports import CommonPasswords, IdentityUnits, PasswordHasher
from application.identity.views import AccountView, account_view
from application.shared.clock import Clock
from application.shared.ids import IdGenerator
from domain.identity.policies import require_acceptable_password
from domain.identity.user import User
from domain.identity.values import EmailAddress, Password, PersonName, Username
from domain.shared.actor import Role
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class CreateAdminCommand:
    email: EmailAddress
    password: Password = field(repr=False)
    username: Username
    name: PersonName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAdmin:
    """Create an account with the role `admin`, under the same rules as any other; nobody is signed in by it."""

    uow: IdentityUnits
    hasher: PasswordHasher
    common_passwords: CommonPasswords
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: CreateAdminCommand) -> AccountView:
        require_acceptable_password(
            command.password,
            email=command.email,
            username=command.username,
            is_common=self.common_passwords.__contains__,
        )
        password_hash = await self.hasher.hash(command.password)
        now = self.clock.now()
        admin = User.sign_up(
            id=UserId(self.ids.new(now)),
            email=command.email,
            username=command.username,
            name=command.name,
            password_hash=password_hash,
            at=now,
            role=Role.ADMIN,
        )
        async with self.uow() as uow:
            await uow.users.add(admin)
            await uow.commit()
        return account_view(admin)
