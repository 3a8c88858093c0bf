"""Closing all sessions of an account: what logging out everywhere, suspension and deletion have in common."""

from datetime import datetime

from application.identity.ports import IdentityUnitOfWork
from domain.identity.session import RevocationReason
from domain.shared.ids import UserId


async def close_sessions(
    uow: IdentityUnitOfWork, user_id: UserId, reason: RevocationReason, *, at: datetime, by: UserId
) -> None:
    """Revoke every live session. The account is to be locked before, so that none is opened meanwhile."""
    for session in await uow.sessions.list_live(user_id, at=at):
        session.revoke(reason, at=at, by=by)
        await uow.sessions.save(session)


async def withdraw_access(uow: IdentityUnitOfWork, user_id: UserId, *, at: datetime) -> None:
    """Make every live session refresh before it goes on: what its access tokens say of the account is out of date."""
    for session in await uow.sessions.list_live(user_id, at=at):
        session.withdraw_access(at=at)
        await uow.sessions.save(session)
