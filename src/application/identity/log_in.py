"""Logging in."""

from dataclasses import dataclass, field

from application.identity.ports import CredentialsReader, IdentityUnits, PasswordHasher
from application.identity.tokens import TokenDesk
from application.identity.views import TokenPairView
from application.shared.clock import Clock
from domain.identity.errors import InvalidCredentials, UserNotFound
from domain.identity.values import Device, Password


@dataclass(frozen=True, slots=True)
class LogInCommand:
    email_key: str
    """The canonical key of the address; an address that cannot exist is simply unknown."""
    password: Password = field(repr=False)
    device: Device


class LogIn:
    """Exchange e-mail and password for a token pair.

    An unknown address, a wrong password and a suspended account get the same answer after the same work, so that
    nobody learns who has an account. A password stored under weaker parameters is rehashed on the way.
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
        if found is None or not verdict.matches:
            raise InvalidCredentials
        rehashed = await self._hasher.hash(command.password) if verdict.outdated else None
        now = self._clock.now()
        session, token = self._desk.open_session(found.user_id, command.device, at=now)
        async with self._uow() as uow:
            try:
                user = await uow.users.get(found.user_id)
            except UserNotFound:
                raise InvalidCredentials from None
            # Between the check and here the password may have been changed, or the account suspended.
            if not user.is_active or user.password_hash != found.password_hash:
                raise InvalidCredentials
            if rehashed is not None:
                user.rehash_password(rehashed)
                await uow.users.save(user)
            await uow.sessions.add(session)
            await uow.commit()
        return self._desk.pair(session, token, user.role)
