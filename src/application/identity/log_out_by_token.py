"""Logging out with nothing but the refresh token, as a browser does whose access token has expired."""

from dataclasses import dataclass, field

from application.identity.ports import IdentityUnits, RefreshTokens
from application.shared.clock import Clock
from domain.identity.errors import InvalidToken, SessionNotFound
from domain.identity.session import RevocationReason


@dataclass(frozen=True, slots=True)
class LogOutByTokenCommand:
    refresh_token: str = field(repr=False)


class LogOutByToken:
    """Close the session that a refresh token belongs to, also when it was spent. A forged one closes nothing."""

    def __init__(self, *, uow: IdentityUnits, refresh_tokens: RefreshTokens, clock: Clock) -> None:
        self._uow = uow
        self._refresh_tokens = refresh_tokens
        self._clock = clock

    async def execute(self, command: LogOutByTokenCommand) -> None:
        try:
            token = self._refresh_tokens.parse(command.refresh_token)
        except InvalidToken:
            return
        async with self._uow() as uow:
            try:
                session = await uow.sessions.get(token.session_id)
            except SessionNotFound:
                return
            now = self._clock.now()
            if not session.is_live(now) or not self._refresh_tokens.leads_to(token, session):
                return
            session.revoke(RevocationReason.LOGGED_OUT, at=now)
            await uow.sessions.save(session)
            await uow.commit()
