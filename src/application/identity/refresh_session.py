"""Refreshing a session."""

from dataclasses import dataclass, field

from application.identity.ports import IdentityUnits, RefreshTokens
from application.identity.tokens import TokenIssuer
from application.identity.views import TokenPairView
from application.shared.clock import Clock
from domain.identity.errors import InvalidToken, SessionNotFound, TokenReused
from domain.identity.session import RevocationReason, TokenStatus
from domain.identity.values import UserStatus


@dataclass(frozen=True, slots=True)
class RefreshSessionCommand:
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSession:
    """Exchange a refresh token for a new pair; the old one is spent (RFC 9700, section 4.14.2).

    Shown again within 10 seconds of its exchange, it yields the newest pair, whatever generation that is by then:
    several tabs at once. The one before the newest yields that same pair at any time, as long as nothing of the pair
    was used: its answer was lost. Any other that is spent is in two hands: the whole session is closed, and stays
    closed although the answer is an error.
    """

    uow: IdentityUnits
    refresh_tokens: RefreshTokens
    issuer: TokenIssuer
    clock: Clock

    async def execute(self, command: RefreshSessionCommand) -> TokenPairView:
        token = self.refresh_tokens.parse(command.refresh_token)
        async with self.uow() as uow:
            try:
                session = await uow.sessions.get(token.session_id)
            except SessionNotFound:
                raise InvalidToken from None
            now = self.clock.now()
            if not session.is_live(now) or not self.refresh_tokens.chain_reaches(token, session):
                raise InvalidToken
            role_and_status = await uow.users.role_and_status(session.user_id)
            if role_and_status is None or role_and_status.status is not UserStatus.ACTIVE:
                raise InvalidToken
            presented = session.judge(self.refresh_tokens.hash(token), token.generation, at=now)
            if presented is TokenStatus.REUSED:
                session.revoke(RevocationReason.TOKEN_REUSED, at=now)
                await uow.sessions.save(session)
                await uow.commit()
                raise TokenReused
            if presented is TokenStatus.CURRENT:
                newest = self.refresh_tokens.successor(token)
                session.rotate(self.refresh_tokens.hash(newest), at=now)
                await uow.sessions.save(session)
                await uow.commit()
            else:
                newest = token
                while newest.generation < session.generation:
                    newest = self.refresh_tokens.successor(newest)
        return self.issuer.pair(session, newest, role_and_status.role, at=now)
