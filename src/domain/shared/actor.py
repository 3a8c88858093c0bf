"""Who is acting, and what that lets them do."""

from dataclasses import dataclass
from enum import StrEnum

from domain.shared.ids import SessionId, UserId


class Permission(StrEnum):
    """A thing that not everybody may do. Owning what is acted on is not a permission: the entity knows its owner."""

    DELETE_ANY_POST = "posts:delete-any"
    SUSPEND_USERS = "users:suspend"
    READ_FULL_PROFILES = "users:read-full"
    MANAGE_USERS = "users:manage"
    MANAGE_ORDERS = "orders:manage"


class Role(StrEnum):
    USER = "user"
    MODERATOR = "moderator"
    ADMIN = "admin"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.USER: frozenset(),
    Role.MODERATOR: frozenset({Permission.DELETE_ANY_POST, Permission.SUSPEND_USERS}),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A signed-in caller, as the access token vouches for them."""

    user_id: UserId
    role: Role
    session_id: SessionId

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]
