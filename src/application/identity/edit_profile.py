"""Editing one's own profile."""

from dataclasses import dataclass

from application.identity.ports import IdentityUnits
from application.identity.views import AccountView, account_view
from application.shared.clock import Clock
from application.shared.views import Versioned
from domain.identity.errors import AccountChanged, InvalidToken, UserNotFound
from domain.identity.policies import require_unreserved
from domain.identity.reserved import ReservedUsernames
from domain.identity.user import UNSET, Unset
from domain.identity.values import PersonName, PhoneNumber, Username
from domain.shared.actor import Actor


@dataclass(frozen=True, slots=True)
class EditProfileCommand:
    actor: Actor
    username: Username | Unset = UNSET
    name: PersonName | Unset | None = UNSET
    phone: PhoneNumber | Unset | None = UNSET
    if_version: int | None = None
    """The version that the caller saw; None edits whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditProfile:
    """Change the caller's name, username or phone number; what is left out stays, `null` takes a value away.

    A reserved username (`admin`, `support`) is kept by whoever has it, and taken by nobody.
    """

    uow: IdentityUnits
    reserved: ReservedUsernames
    clock: Clock

    async def execute(self, command: EditProfileCommand) -> Versioned[AccountView]:
        async with self.uow() as uow:
            try:
                user = await uow.users.get(command.actor.user_id)
            except UserNotFound:
                raise InvalidToken from None
            if command.if_version not in (None, user.version):
                raise AccountChanged
            if isinstance(command.username, Username) and command.username.key != user.username.key:
                require_unreserved(command.username, self.reserved)
            user.change_profile(username=command.username, name=command.name, phone=command.phone, at=self.clock.now())
            await uow.users.save(user)
            await uow.commit()
        return Versioned(account_view(user), user.version)
