"""Who is acting, and what that lets them do."""

from dataclasses import dataclass
from enum import StrEnum

from domain.shared.errors import Forbidden
from domain.shared.ids import SessionId, UserId


class Permission(StrEnum):
    """A thing that not everybody may do. Owning what is acted on is not a permission: the entity knows its owner."""

    DELETE_ANY_POST = "posts:delete-any"
    SUSPEND_USERS = "users:suspend"
    READ_FULL_PROFILES = "users:read-full"
    MANAGE_USERS = "users:manage"
    MANAGE_ORDERS = "orders:manage"
    READ_AUDIT = "audit:read"
    MANAGE_WEBHOOKS = "webhooks:manage"


class Scope(StrEnum):
    """What an API key may be used for. There is none for credentials: only a session manages those."""

    POSTS_READ = "posts:read"
    POSTS_WRITE = "posts:write"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    PROFILE_READ = "profile:read"
    PROFILE_WRITE = "profile:write"


class Role(StrEnum):
    USER = "user"
    MODERATOR = "moderator"
    ADMIN = "admin"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.USER: frozenset(),
    Role.MODERATOR: frozenset({Permission.DELETE_ANY_POST, Permission.SUSPEND_USERS}),
    Role.ADMIN: frozenset(Permission),
}


class InsufficientScope(Forbidden):
    slug = "insufficient-scope"
    title = "The API key is not good for this"

    def __init__(self, scope: Scope | None = None) -> None:
        super().__init__("Only a signed-in session may do this." if scope is None else f"It needs the scope {scope}.")


@dataclass(frozen=True, slots=True)
class Actor:
    """A signed-in caller, as the access token vouches for them."""

    user_id: UserId
    role: Role
    session_id: SessionId
    """The session; for an API key, the key's own id, which is no session's."""
    scopes: frozenset[Scope] | None = None
    """What the API key in use is good for; None for a session, which may do all that its account may."""

    def may(self, permission: Permission) -> bool:
        """Tell whether the role allows it. No API key carries what a role allows beyond one's own."""
        return self.scopes is None and permission in PERMISSIONS[self.role]

    def require_scope(self, scope: Scope | None) -> None:
        """Raise `InsufficientScope` for an API key without `scope`; None is what no key may do."""
        if self.scopes is not None and scope not in self.scopes:
            raise InsufficientScope(scope)

    def require(self, permission: Permission) -> None:
        """Raise `Forbidden` without the permission."""
        if not self.may(permission):
            raise Forbidden(f"This takes the permission {permission}.")
