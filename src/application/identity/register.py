"""Storing a new account together with its first session."""

from dataclasses import dataclass, field

from application.identity.ports import IdentityUnits
from application.identity.tokens import TokenIssuer
from application.identity.views import SignedUpView, account_view
from application.shared.clock import Clock
from application.shared.group_commit import SharesCommit
from application.shared.ids import IdGenerator
from domain.identity.user import User
from domain.identity.values import Device, EmailAddress, PersonName, Username
from domain.shared.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterCommand:
    email: EmailAddress
    username: Username
    name: PersonName | None
    password_hash: str = field(repr=False)
    device: Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(SharesCommit):
    """Store an account, and the session that its owner is signed in with. Raises `EmailTaken`, `UsernameTaken`.

    The part of signing up that comes after the hash. It waits for nothing but storage, so that it can share its commit
    with others, and be run again after a lost race without another hash.
    """

    uow: IdentityUnits
    issuer: TokenIssuer
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: RegisterCommand) -> SignedUpView:
        now = self.clock.now()
        user = User.sign_up(
            id=UserId(self.ids.new(now)),
            email=command.email,
            username=command.username,
            name=command.name,
            password_hash=command.password_hash,
            at=now,
        )
        session, token = self.issuer.open_session(user.id, command.device, at=now)
        async with self.uow() as uow:
            await uow.users.add(user)
            await uow.sessions.add(session)
            await uow.commit()
        pair = self.issuer.pair(session, token, user.role, at=now)
        return SignedUpView(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            expires_in=pair.expires_in,
            user=account_view(user),
        )
