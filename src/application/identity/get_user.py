"""Reading somebody's account."""

from dataclasses import dataclass

from application.identity.ports import UserReader
from application.identity.views import UserView
from application.shared.views import Versioned
from domain.identity.errors import UserNotFound
from domain.shared.actor import Actor, Permission
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class GetUserQuery:
    actor: Actor
    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class GetUser:
    """Read an account: its public profile, or all of it for an administrator."""

    users: UserReader

    async def execute(self, query: GetUserQuery) -> Versioned[UserView]:
        found = await self.users.find(query.user_id, full=query.actor.may(Permission.READ_FULL_PROFILES))
        if found is None:
            raise UserNotFound
        return found
