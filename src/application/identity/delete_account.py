"""Deleting one's own account."""

from dataclasses import dataclass, field

from application.identity.administration import require_another_admin
from application.identity.password_confirmation import confirm_password
from application.identity.ports import CredentialsReader, IdentityUnits, PasswordHasher
from application.identity.session_revocation import close_sessions
from application.shared.clock import Clock
from application.shared.errors import VersionConflict
from domain.identity.errors import AccountChanged, InvalidToken, UserNotFound
from domain.identity.session import RevocationReason
from domain.identity.values import Password
from domain.shared.actor import Actor


@dataclass(frozen=True, slots=True)
class DeleteAccountCommand:
    actor: Actor
    password: Password = field(repr=False)
    if_version: int | None = None
    """The version of the account that the caller saw; None deletes whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAccount:
    """Delete the caller's account for good, given the password: with its posts, votes and sessions, at once.

    The posts of others that it had voted on lose its votes. The audit trail keeps the account's id, and orders are
    kept without the person and the address. The last active administrator stays.
    """

    uow: IdentityUnits
    credentials: CredentialsReader
    hasher: PasswordHasher
    clock: Clock

    async def execute(self, command: DeleteAccountCommand) -> None:
        actor = command.actor
        found = await confirm_password(
            actor,
            command.password,
            uow=self.uow,
            credentials=self.credentials,
            hasher=self.hasher,
            clock=self.clock,
        )
        now = self.clock.now()
        async with self.uow() as uow:
            try:
                user = await uow.users.get(found.user_id)
            except UserNotFound:
                raise InvalidToken from None
            if command.if_version not in (None, user.version):
                raise AccountChanged
            if user.password_hash != found.password_hash:
                raise VersionConflict  # Changed meanwhile: what was verified is no longer the current password.
            if user.is_active_admin:
                await require_another_admin(uow, user.id)
            user.delete(by=actor, at=now)
            await close_sessions(uow, user.id, RevocationReason.ACCOUNT_DELETED, at=now, by=actor.user_id)
            await uow.users.remove(user, at=now)
            await uow.commit()
