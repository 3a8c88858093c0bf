"""Opening a session and handing out its tokens: what signing up, logging in and refreshing have in common."""

from datetime import datetime, timedelta
from typing import Final

from application.identity.ports import AccessGrant, AccessTokens, RefreshToken, RefreshTokens
from application.identity.revocations import token_id
from application.identity.views import TokenPairView
from application.shared.ids import IdGenerator
from domain.identity.session import Session
from domain.identity.values import Device
from domain.shared.actor import Role
from domain.shared.ids import SessionId, UserId

SAME_PAIR: Final = timedelta(minutes=1)


class TokenIssuer:
    """Hands out token pairs. A pair is a function of the session's state, so the same state gives the same pair."""

    def __init__(self, *, ids: IdGenerator, access_tokens: AccessTokens, refresh_tokens: RefreshTokens) -> None:
        self._ids = ids
        self._access = access_tokens
        self._refresh = refresh_tokens

    def open_session(self, user_id: UserId, device: Device, *, at: datetime) -> tuple[Session, RefreshToken]:
        """Begin a session; its first refresh token is known here and nowhere else."""
        session_id = SessionId(self._ids.new(at))
        token = self._refresh.first(session_id)
        refresh_hash = self._refresh.hash(token)
        return Session.open(id=session_id, user_id=user_id, device=device, refresh_token=refresh_hash, at=at), token

    def pair(self, session: Session, token: RefreshToken, role: Role, *, at: datetime) -> TokenPairView:
        """Return the pair of the session's current generation, of which `token` is the refresh token.

        For a minute it is one and the same pair. Later its access token would be handed out half spent, so it is made
        anew, for the same generation.
        """
        began = session.last_used_at
        access = self._access.issue(
            AccessGrant(
                user_id=session.user_id,
                role=role,
                session_id=session.id,
                token_id=token_id(session.id, session.generation),
                issued_at=began if at - began <= SAME_PAIR else at,
            )
        )
        return TokenPairView(
            access_token=access,
            refresh_token=self._refresh.serialize(token),
            expires_in=self._access.lifetime_seconds,
        )
