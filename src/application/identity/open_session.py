"""Opening a session for somebody whose password was checked."""

from dataclasses import dataclass, field
from datetime import datetime

from application.identity.audit import AuditEntry, AuditOnlyEvent
from application.identity.ports import Credentials, IdentityUnitOfWork, IdentityUnits
from application.identity.second_factor import Proof, SecondFactorVerifier
from application.identity.tokens import TokenIssuer
from application.identity.views import TokenPairView
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from domain.identity.errors import InvalidCode, InvalidCredentials, SecondFactorRequired, UserNotFound
from domain.identity.policies import SESSIONS_PER_USER
from domain.identity.second_factor import CodeResult
from domain.identity.session import RevocationReason
from domain.identity.user import User
from domain.identity.values import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSessionCommand:
    found: Credentials | None
    """What the password was checked for; None: no account has the address."""
    matches: bool
    """Whether the password is right."""
    device: Device
    proof: Proof = field(default_factory=Proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession(SharesCommit):
    """Open a session if the password was right and still is, for an account that may log in.

    An account has 100 live ones at the most; the oldest is closed for one more.

    The part of logging in that comes after the hash. It waits for nothing but storage, so that it can share its commit
    with others, and be run again after a lost race without another hash.
    """

    uow: IdentityUnits
    issuer: TokenIssuer
    second_factor: SecondFactorVerifier
    clock: Clock
    max_sessions: int = SESSIONS_PER_USER

    async def execute(self, command: OpenSessionCommand) -> TokenPairView:
        found, now = command.found, self.clock.now()
        async with self.uow() as uow:
            # Whatever is wrong, from here on the steps are the same, so nobody learns which it was by the time.
            is_right = found is not None and command.matches and found.is_active
            user = await self._unchanged(uow, found) if found is not None and is_right else None
            if user is None:
                subject = None if found is None else found.user_id
                await uow.audit.record(
                    AuditEntry(event=AuditOnlyEvent.LOG_IN_FAILED, at=now, actor=None, subject=subject)
                )
                await uow.commit()
                raise InvalidCredentials
            await self._require_second_factor(uow, user, command.proof, at=now)
            # The account is locked, so no other session of its is opened meanwhile.
            for displaced in await uow.sessions.oldest_beyond(user.id, keep=self.max_sessions - 1, at=now):
                displaced.revoke(RevocationReason.DISPLACED, at=now)
                await uow.sessions.save(displaced)
            session, token = self.issuer.open_session(user.id, command.device, at=now)
            await uow.sessions.add(session)
            await uow.commit()
        return self.issuer.pair(session, token, user.role, at=now)

    async def _require_second_factor(self, uow: IdentityUnitOfWork, user: User, proof: Proof, *, at: datetime) -> None:
        """Raise unless the proof is accepted or none is needed. That a code was wrong is committed, and counts."""
        factor = await uow.second_factors.find(user.id)
        if factor is None or not factor.is_confirmed:
            return
        if proof.is_empty:
            raise SecondFactorRequired
        verdict = self.second_factor.judge(factor, proof, at=at)
        await uow.second_factors.save(factor)
        if verdict is CodeResult.REFUSED:
            await uow.audit.record(AuditEntry(event=AuditOnlyEvent.LOG_IN_FAILED, at=at, actor=None, subject=user.id))
            await uow.commit()
            raise InvalidCode

    @staticmethod
    async def _unchanged(uow: IdentityUnitOfWork, found: Credentials) -> User | None:
        """Load the account that the password was checked for; None when it is gone, suspended, or has another now."""
        try:
            user = await uow.users.get(found.user_id)
        except UserNotFound:
            return None
        return user if user.is_active and user.password_hash == found.password_hash else None
