"""Creating an account for somebody else."""

from dataclasses import dataclass, field

from application.identity.ports import CommonPasswords, IdentityUnits, PasswordHasher
from application.identity.views import UserView, user_view
from application.shared.clock import Clock
from application.shared.idempotency import IdempotencyClaim
from application.shared.ids import IdGenerator
from application.shared.views import Versioned
from domain.identity.policies import require_acceptable_password
from domain.identity.user import User
from domain.identity.values import EmailAddress, Password, PersonName, PhoneNumber, Username
from domain.shared.actor import Actor, Permission, Role
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUserCommand:
    actor: Actor
    email: EmailAddress
    email_verified: bool
    password: Password = field(repr=False)
    username: Username
    name: PersonName | None
    phone: PhoneNumber | None
    role: Role
    idempotency: IdempotencyClaim[Versioned[UserView]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUser:
    """Create an account for somebody else, under the same rules as sign-up. For administrators; nobody is signed in."""

    uow: IdentityUnits
    hasher: PasswordHasher
    common_passwords: CommonPasswords
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: CreateUserCommand) -> Versioned[UserView]:
        command.actor.require(Permission.MANAGE_USERS)
        require_acceptable_password(
            command.password,
            email=command.email,
            username=command.username,
            is_common=self.common_passwords.__contains__,
        )
        password_hash = await self.hasher.hash(command.password)
        now = self.clock.now()
        user = User.create(
            id=UserId(self.ids.new(now)),
            email=command.email,
            email_verified=command.email_verified,
            username=command.username,
            name=command.name,
            phone=command.phone,
            password_hash=password_hash,
            role=command.role,
            by=command.actor,
            at=now,
        )
        view = Versioned(user_view(user, full=True), user.version)
        async with self.uow() as uow:
            await uow.idempotency.claim(command.idempotency, view)
            await uow.users.add(user)
            await uow.commit()
        return view
