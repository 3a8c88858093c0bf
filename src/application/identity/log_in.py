"""Logging in."""

from dataclasses import dataclass, field
from uuid import UUID

from application.identity.audit import AuditEntry, Unchanging
from application.identity.ports import (
    Credentials,
    CredentialsReader,
    IdentityUnitOfWork,
    IdentityUnits,
    PasswordHasher,
)
from application.identity.tokens import TokenDesk
from application.identity.views import TokenPairView
from application.shared.clock import Clock
from domain.identity.errors import InvalidCredentials, UserNotFound
from domain.identity.user import User
from domain.identity.values import Device, Password
from domain.shared.ids import UserId

_NOBODY = UserId(UUID(int=0))


@dataclass(frozen=True, slots=True)
class LogInCommand:
    email_key: str
    """The canonical key of the address; an address that cannot exist is simply unknown."""
    password: Password = field(repr=False)
    device: Device


class LogIn:
    """Exchange e-mail and password for a token pair.

    An unknown address, a wrong password and a suspended account get the same answer after the same work, so that
    nobody learns who has an account; each is written to the audit trail. A password stored under weaker parameters is
    rehashed on the way.
    """

    def __init__(
        self,
        *,
        uow: IdentityUnits,
        credentials: CredentialsReader,
        hasher: PasswordHasher,
        desk: TokenDesk,
        clock: Clock,
    ) -> None:
        self._uow = uow
        self._credentials = credentials
        self._hasher = hasher
        self._desk = desk
        self._clock = clock

    async def execute(self, command: LogInCommand) -> TokenPairView:
        found = await self._credentials.by_email(command.email_key)
        verdict = await self._hasher.verify(found.password_hash if found else None, command.password)
        rehashed = await self._hasher.hash(command.password) if verdict.outdated else None
        now = self._clock.now()
        async with self._uow() as uow:
            user = await self._verified(uow, found)
            if user is None or not verdict.matches or not user.is_active:
                subject = None if user is None else user.id
                await uow.audit.record(AuditEntry(event=Unchanging.LOG_IN_FAILED, at=now, actor=None, subject=subject))
                await uow.commit()
                raise InvalidCredentials
            session, token = self._desk.open_session(user.id, command.device, at=now)
            if rehashed is not None:
                user.rehash_password(rehashed)
                await uow.users.save(user)
            await uow.sessions.add(session)
            await uow.commit()
        return self._desk.pair(session, token, user.role)

    @staticmethod
    async def _verified(uow: IdentityUnitOfWork, found: Credentials | None) -> User | None:
        """Load the account that the password was checked for; None when there is none.

        Nobody is looked for all the same: an address without an account must not be told by the time it takes.
        """
        try:
            user = await uow.users.get(_NOBODY if found is None else found.user_id)
        except UserNotFound:
            return None
        if found is None or user.password_hash != found.password_hash:
            return None  # Changed meanwhile: what was verified is no longer the current password.
        return user
