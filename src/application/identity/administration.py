"""What the use cases of administration have in common."""

from application.identity.ports import IdentityUnitOfWork
from domain.identity.errors import LastAdmin
from domain.shared.ids import UserId


async def require_another_admin(uow: IdentityUnitOfWork, leaving: UserId) -> None:
    """Raise `LastAdmin` when `leaving`, as stored, is the only active administrator.

    The administrators stay locked until the unit of work ends: of two who remove each other, one finds themselves
    the last.
    """
    if await uow.users.lock_active_admins() == [leaving]:
        raise LastAdmin
