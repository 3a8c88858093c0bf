"""Proving that one reads one's e-mail address."""

from dataclasses import dataclass, field

from application.identity.credentials import OneTimeTokens
from application.identity.ports import IdentityUnits
from application.shared.clock import Clock
from domain.identity.errors import InvalidOneTimeToken, UserNotFound
from domain.identity.one_time_token import Purpose


@dataclass(frozen=True, slots=True)
class VerifyEmailCommand:
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyEmail:
    """Take the token of a verification mail. Nobody needs to be signed in.

    The token is good for its 24 hours, however often it comes: opened twice, a link says the same.
    """

    uow: IdentityUnits
    tokens: OneTimeTokens
    clock: Clock

    async def execute(self, command: VerifyEmailCommand) -> None:
        now = self.clock.now()
        async with self.uow() as uow:
            token = await uow.one_time_tokens.find(self.tokens.hash(command.token), Purpose.VERIFY_EMAIL)
            try:
                user = await uow.users.get(token.user_id)
            except UserNotFound:
                raise InvalidOneTimeToken from None
            token.require_valid(user.email, at=now)
            if user.email_verified:
                return
            user.verify_email(at=now)
            await uow.users.save(user)
            await uow.commit()
