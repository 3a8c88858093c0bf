"""Logging in."""

from contextlib import suppress
from dataclasses import dataclass, field

from application.identity.open_session import OpenSessionCommand
from application.identity.ports import Credentials, CredentialsReader, IdentityUnits, PasswordHasher
from application.identity.second_factor import Proof
from application.identity.views import TokenPairView
from application.shared.errors import Unavailable
from application.shared.use_case import UseCase
from domain.identity.errors import UserNotFound
from domain.identity.values import Device, Password


@dataclass(frozen=True, slots=True)
class LogInCommand:
    email_key: str
    """The canonical key of the address; an address that cannot exist is simply unknown."""
    password: Password = field(repr=False)
    device: Device
    proof: Proof = field(default_factory=Proof)
    """The second factor, for accounts that have one; for others it is not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIn:
    """Exchange e-mail and password for a token pair.

    An unknown address, a wrong password and a suspended account get the same answer after the same work, so that
    nobody learns who has an account; each is written to the audit trail. Where a second factor is in force, the right
    password alone gets `second-factor-required`, and `code` or `recovery_code` has to come with it; each is good for
    one log-in. An account has 100 sessions at the most; the oldest ends for one more. A password stored under weaker
    parameters is rehashed on the way.
    """

    uow: IdentityUnits
    credentials: CredentialsReader
    hasher: PasswordHasher
    open_session: UseCase[OpenSessionCommand, TokenPairView]

    async def execute(self, command: LogInCommand) -> TokenPairView:
        found = await self.credentials.by_email(command.email_key)
        verdict = await self.hasher.verify(found.password_hash if found else None, command.password)
        pair = await self.open_session.execute(
            OpenSessionCommand(found=found, matches=verdict.matches, device=command.device, proof=command.proof)
        )
        if found is not None and verdict.outdated:
            with suppress(Unavailable):  # It can wait for the next log-in; this one is done.
                await self._rehash(found, command.password)
        return pair

    async def _rehash(self, found: Credentials, password: Password) -> None:
        """Store the password under today's parameters: once everything is decided, so that it tells nobody anything."""
        rehashed = await self.hasher.hash(password)
        async with self.uow() as uow:
            try:
                current = await uow.users.get(found.user_id)
            except UserNotFound:
                return
            if current.password_hash == found.password_hash:
                current.rehash_password(rehashed)
                await uow.users.save(current)
                await uow.commit()
