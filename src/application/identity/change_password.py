"""Changing one's password."""

from dataclasses import dataclass, field

from application.identity.password_confirmation import confirm_password
from application.identity.ports import CommonPasswords, CredentialsReader, IdentityUnits, PasswordHasher
from application.shared.clock import Clock
from application.shared.errors import VersionConflict
from domain.identity.errors import AccountChanged, InvalidToken, UserNotFound
from domain.identity.one_time_token import Purpose
from domain.identity.policies import require_acceptable_password
from domain.identity.session import RevocationReason
from domain.identity.values import Password
from domain.shared.actor import Actor


@dataclass(frozen=True, slots=True)
class ChangePasswordCommand:
    actor: Actor
    current: Password = field(repr=False)
    new: Password = field(repr=False)
    if_version: int | None = None
    """The version of the account that the caller saw; None changes whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword:
    """Change the caller's password, given the current one. Every other session of theirs is closed."""

    uow: IdentityUnits
    credentials: CredentialsReader
    hasher: PasswordHasher
    common_passwords: CommonPasswords
    clock: Clock

    async def execute(self, command: ChangePasswordCommand) -> None:
        found = await confirm_password(
            command.actor,
            command.current,
            uow=self.uow,
            credentials=self.credentials,
            hasher=self.hasher,
            clock=self.clock,
        )
        require_acceptable_password(
            command.new,
            email=found.email,
            username=found.username,
            is_common=self.common_passwords.__contains__,
            field="new_password",
        )
        new_hash = await self.hasher.hash(command.new)
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
            user.change_password(new_hash, at=now)
            await uow.users.save(user)
            # A mail that is still under way was asked for to replace the password of before.
            await uow.one_time_tokens.discard(user.id, Purpose.RESET_PASSWORD)
            for session in await uow.sessions.list_live(user.id, at=now):
                if session.id != command.actor.session_id:
                    session.revoke(RevocationReason.PASSWORD_CHANGED, at=now, by=user.id)
                    await uow.sessions.save(session)
            await uow.commit()
