"""Logging in."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from application.identity.audit import AuditEntry, Unchanging
from application.identity.ports import (
    Credentials,
    CredentialsReader,
    IdentityUnitOfWork,
    IdentityUnits,
    PasswordHasher,
)
from application.identity.second_factor import Proof, SecondFactorDesk
from application.identity.tokens import TokenDesk
from application.identity.views import TokenPairView
from application.shared.clock import Clock
from application.shared.errors import Unavailable
from domain.identity.errors import InvalidCode, InvalidCredentials, SecondFactorRequired, UserNotFound
from domain.identity.second_factor import CodeVerdict
from domain.identity.user import User
from domain.identity.values import Device, Password


@dataclass(frozen=True, slots=True)
class LogInCommand:
    email_key: str
    """The canonical key of the address; an address that cannot exist is simply unknown."""
    password: Password = field(repr=False)
    device: Device
    proof: Proof = field(default_factory=Proof)
    """The second factor, for accounts that have one; for others it is not looked at."""


class LogIn:
    """Exchange e-mail and password for a token pair.

    An unknown address, a wrong password and a suspended account get the same answer after the same work, so that
    nobody learns who has an account; each is written to the audit trail. Where a second factor is in force, the right
    password alone gets `second-factor-required`, and `code` or `recovery_code` has to come with it; each is good for
    one log-in. A password stored under weaker parameters is rehashed on the way.
    """

    def __init__(
        self,
        *,
        uow: IdentityUnits,
        credentials: CredentialsReader,
        hasher: PasswordHasher,
        desk: TokenDesk,
        second_factor: SecondFactorDesk,
        clock: Clock,
    ) -> None:
        self._uow = uow
        self._credentials = credentials
        self._hasher = hasher
        self._desk = desk
        self._second_factor = second_factor
        self._clock = clock

    async def execute(self, command: LogInCommand) -> TokenPairView:
        found = await self._credentials.by_email(command.email_key)
        verdict = await self._hasher.verify(found.password_hash if found else None, command.password)
        now = self._clock.now()
        async with self._uow() as uow:
            # Whatever is wrong, from here on the steps are the same, so nobody learns which it was by the time.
            is_right = found is not None and verdict.matches and found.is_active
            user = await self._unchanged(uow, found) if found is not None and is_right else None
            if user is None:
                subject = None if found is None else found.user_id
                await uow.audit.record(AuditEntry(event=Unchanging.LOG_IN_FAILED, at=now, actor=None, subject=subject))
                await uow.commit()
                raise InvalidCredentials
            await self._demand_second_factor(uow, user, command.proof, at=now)
            session, token = self._desk.open_session(user.id, command.device, at=now)
            await uow.sessions.add(session)
            await uow.commit()
        if verdict.outdated:
            with suppress(Unavailable):  # It can wait for the next log-in; this one is done.
                await self._rehash(user, command.password)
        return self._desk.pair(session, token, user.role)

    async def _demand_second_factor(self, uow: IdentityUnitOfWork, user: User, proof: Proof, *, at: datetime) -> None:
        """Raise unless the proof is accepted or none is needed. That a code was wrong is committed, and counts."""
        factor = await uow.second_factors.find(user.id)
        if factor is None or not factor.is_confirmed:
            return
        if proof.is_empty:
            raise SecondFactorRequired
        verdict = self._second_factor.judge(factor, proof, at=at)
        await uow.second_factors.save(factor)
        if verdict is CodeVerdict.REFUSED:
            await uow.audit.record(AuditEntry(event=Unchanging.LOG_IN_FAILED, at=at, actor=None, subject=user.id))
            await uow.commit()
            raise InvalidCode

    async def _rehash(self, user: User, password: Password) -> None:
        """Store the password under today's parameters: once everything is decided, so that it tells nobody anything."""
        before = user.password_hash
        rehashed = await self._hasher.hash(password)
        async with self._uow() as uow:
            try:
                current = await uow.users.get(user.id)
            except UserNotFound:
                return
            if current.password_hash == before:
                current.rehash_password(rehashed)
                await uow.users.save(current)
                await uow.commit()

    @staticmethod
    async def _unchanged(uow: IdentityUnitOfWork, found: Credentials) -> User | None:
        """Load the account that the password was checked for; None when it is gone, suspended, or has another now."""
        try:
            user = await uow.users.get(found.user_id)
        except UserNotFound:
            return None
        return user if user.is_active and user.password_hash == found.password_hash else None
