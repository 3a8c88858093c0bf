"""Setting a new password with the token of a mail."""

from dataclasses import dataclass, field

from application.identity.credentials import AccountMails, OneTimeTokens
from application.identity.ports import CommonPasswords, CredentialsReader, IdentityUnits, PasswordHasher
from application.shared.clock import Clock
from application.shared.errors import Overloaded
from domain.identity.errors import InvalidOneTimeToken, UserNotFound
from domain.identity.one_time_token import OneTimeToken, Purpose
from domain.identity.policies import require_acceptable_password
from domain.identity.session import RevocationReason
from domain.identity.values import Password


@dataclass(frozen=True, slots=True)
class ResetPasswordCommand:
    token: str = field(repr=False)
    password: Password = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetPassword:
    """Set a new password with the token of a mail. Every session of the account is closed, and its API keys end.

    The token is spent by it. A mail tells which keys ended.

    Whoever has the token reads the mail, so the address counts as verified from then on. A password that must not be
    chosen is refused without spending the token. A second factor stays in force.
    """

    uow: IdentityUnits
    credentials: CredentialsReader
    tokens: OneTimeTokens
    hasher: PasswordHasher
    common_passwords: CommonPasswords
    mails: AccountMails
    clock: Clock

    async def execute(self, command: ResetPasswordCommand) -> None:
        token = await self._valid_token(command.token)
        await self._require_acceptable(command.password, token)
        password_hash = await self.hasher.hash(command.password)
        now = self.clock.now()
        async with self.uow() as uow:
            try:
                user = await uow.users.get(token.user_id)
            except UserNotFound:
                raise InvalidOneTimeToken from None
            token.require_valid(user.email, at=now)
            if not user.is_active:
                raise InvalidOneTimeToken
            await uow.one_time_tokens.consume(token)
            user.change_password(password_hash, at=now)
            user.verify_email(at=now)
            await uow.users.save(user)
            for session in await uow.sessions.list_live(user.id, at=now):
                session.revoke(RevocationReason.PASSWORD_CHANGED, at=now)
                await uow.sessions.save(session)
            keys = await uow.api_keys.list_of(user.id)
            for key in keys:
                key.revoke(at=now)
                await uow.api_keys.remove(key)
            await uow.commit()
        try:
            self.mails.password_was_reset(user.email, user.username, [key.name for key in keys])
        except Overloaded:
            return  # The password is changed, and a notice that cannot be queued must not say otherwise.

    async def _valid_token(self, text: str) -> OneTimeToken:
        """Find the token before any hashing: whoever makes tokens up gets no work out of the hasher."""
        async with self.uow() as uow:
            token = await uow.one_time_tokens.find(self.tokens.hash(text), Purpose.RESET_PASSWORD)
        if self.clock.now() >= token.expires_at:
            raise InvalidOneTimeToken
        return token

    async def _require_acceptable(self, password: Password, token: OneTimeToken) -> None:
        owner = await self.credentials.by_id(token.user_id)
        if owner is None:
            raise InvalidOneTimeToken
        require_acceptable_password(
            password, email=owner.email, username=owner.username, is_common=self.common_passwords.__contains__
        )
