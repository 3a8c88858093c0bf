"""Asking for a mail with which to set a new password."""

from dataclasses import dataclass

from application.identity.credentials import AccountMails, OneTimeTokens
from application.identity.ports import CredentialsReader, IdentityUnits
from application.shared.clock import Clock
from domain.identity.errors import UserNotFound
from domain.identity.one_time_token import OneTimeToken, Purpose


@dataclass(frozen=True, slots=True)
class RequestPasswordResetCommand:
    email_key: str
    """The canonical key of the address; one that cannot exist is simply unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPasswordReset:
    """Mail a link for setting a new password, if the address belongs to an active account.

    The answer is the same at once, whether or not it does. The link is good for 30 minutes and one use; a newer one
    replaces it.
    """

    uow: IdentityUnits
    credentials: CredentialsReader
    tokens: OneTimeTokens
    mails: AccountMails
    clock: Clock

    async def execute(self, command: RequestPasswordResetCommand) -> None:
        found = await self.credentials.by_email(command.email_key)
        if found is None:
            return
        token = self.tokens.new()
        async with self.uow() as uow:
            try:
                user = await uow.users.get(found.user_id)
            except UserNotFound:
                return
            if not user.is_active:
                return
            await uow.one_time_tokens.put(
                OneTimeToken.issue(
                    user_id=user.id,
                    purpose=Purpose.RESET_PASSWORD,
                    hash=self.tokens.hash(token),
                    email=user.email,
                    at=self.clock.now(),
                )
            )
            await uow.commit()
        self.mails.password_reset(user.email, user.username, token)
