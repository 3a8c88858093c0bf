"""Sending the mail that proves who reads an address."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from application.identity.credentials import AccountMails, OneTimeTokens
from application.identity.ports import IdentityUnits
from application.identity.sign_up import SignUpCommand
from application.identity.views import SignedUpView
from application.shared.clock import Clock
from application.shared.errors import Overloaded
from application.shared.use_case import UseCase
from domain.identity.errors import UserNotFound
from domain.identity.one_time_token import OneTimeToken, Purpose
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class SendVerificationCommand:
    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class SendVerification:
    """Mail a link that proves that the caller reads their address; to a verified one nothing is sent.

    The link is good for 24 hours, and so are those of the mails before.
    """

    uow: IdentityUnits
    tokens: OneTimeTokens
    mails: AccountMails
    clock: Clock

    async def execute(self, command: SendVerificationCommand) -> None:
        token = self.tokens.new()
        async with self.uow() as uow:
            try:
                user = await uow.users.get(command.user_id)
            except UserNotFound:
                return  # Deleted a moment ago.
            if user.email_verified or not user.is_active:
                return
            await uow.one_time_tokens.put(
                OneTimeToken.issue(
                    user_id=user.id,
                    purpose=Purpose.VERIFY_EMAIL,
                    hash=self.tokens.hash(token),
                    email=user.email,
                    at=self.clock.now(),
                )
            )
            await uow.commit()
        self.mails.email_verification(user.email, user.username, token)


class SignUpWithVerification:
    """Signs up, then has the verification mail sent. A full queue is no reason to fail: it can be asked for again."""

    def __init__(
        self, sign_up: UseCase[SignUpCommand, SignedUpView], *, send: UseCase[SendVerificationCommand, None]
    ) -> None:
        self._sign_up = sign_up
        self._send = send

    async def execute(self, command: SignUpCommand) -> SignedUpView:
        signed_up = await self._sign_up.execute(command)
        with suppress(Overloaded):
            await self._send.execute(SendVerificationCommand(UserId(UUID(signed_up.user.id))))
        return signed_up
