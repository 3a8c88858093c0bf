"""Logging out with nothing but the refresh token, as a browser does whose access token has expired."""

from dataclasses import dataclass, field

from application.identity.ports import IdentityUnits, RefreshTokens
from application.shared.clock import Clock
from domain.identity.errors import InvalidToken, SessionNotFound
from domain.identity.session import RevocationReason


@dataclass(frozen=True, slots=True)
class LogOutByTokenCommand:
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOutByToken:
    """Close the session that a refresh token belongs to, also when it was spent. A forged one closes nothing."""

    uow: IdentityUnits
    refresh_tokens: RefreshTokens
    clock: Clock

    async def execute(self, command: LogOutByTokenCommand) -> None:
        try:
            token = self.refresh_tokens.parse(command.refresh_token)
        except InvalidToken:
            return
        async with self.uow() as uow:
            try:
                session = await uow.sessions.get(token.session_id)
            except SessionNotFound:
                return
            now = self.clock.now()
            if not session.is_live(now) or not self.refresh_tokens.chain_reaches(token, session):
                return
            session.revoke(RevocationReason.LOGGED_OUT, at=now)
            await uow.sessions.save(session)
            await uow.commit()
