"""Signing up."""

from dataclasses import dataclass, field

from application.identity.ports import CommonPasswords, IdentityUnits, PasswordHasher
from application.identity.tokens import TokenDesk
from application.identity.views import SignedUpView, account_view
from application.shared.clock import Clock
from application.shared.ids import IdGenerator, UsernameGenerator
from domain.identity.errors import UsernameTaken
from domain.identity.policies import password_faults
from domain.identity.user import User
from domain.identity.values import Device, EmailAddress, Password, PersonName, Username
from domain.shared.errors import Invalid
from domain.shared.ids import UserId

_SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class SignUpCommand:
    email: EmailAddress
    password: Password = field(repr=False)
    username: Username | None
    name: PersonName | None
    device: Device


class SignUp:
    """Create an account and sign it in.

    An e-mail address and a username each belong to one account, compared without regard to case or Unicode form.
    Without a username one is generated. The password may be anything of 12 to 256 characters that is not among the
    commonest and is not the caller's own address or username.
    """

    def __init__(
        self,
        *,
        uow: IdentityUnits,
        hasher: PasswordHasher,
        common_passwords: CommonPasswords,
        desk: TokenDesk,
        ids: IdGenerator,
        usernames: UsernameGenerator,
        clock: Clock,
    ) -> None:
        self._uow = uow
        self._hasher = hasher
        self._common_passwords = common_passwords
        self._desk = desk
        self._ids = ids
        self._usernames = usernames
        self._clock = clock

    async def execute(self, command: SignUpCommand) -> SignedUpView:
        faults = password_faults(
            command.password,
            email=command.email,
            username=command.username,
            is_common=self._common_passwords.__contains__,
        )
        if faults:
            raise Invalid(faults)
        password_hash = await self._hasher.hash(command.password)
        if command.username is not None:
            return await self._store(command, command.username, password_hash)
        for _ in range(_SUGGESTIONS - 1):
            try:
                return await self._store(command, Username.parse(self._usernames.suggest()), password_hash)
            except UsernameTaken:
                continue
        return await self._store(command, Username.parse(self._usernames.suggest()), password_hash)

    async def _store(self, command: SignUpCommand, username: Username, password_hash: str) -> SignedUpView:
        now = self._clock.now()
        user = User.sign_up(
            id=UserId(self._ids.new(now)),
            email=command.email,
            username=username,
            name=command.name,
            password_hash=password_hash,
            at=now,
        )
        session, token = self._desk.open_session(user.id, command.device, at=now)
        async with self._uow() as uow:
            await uow.users.add(user)
            await uow.sessions.add(session)
            await uow.commit()
        pair = self._desk.pair(session, token, user.role)
        return SignedUpView(
            access_token=pair.access_token,
            refresh_token=pair.refresh_token,
            expires_in=pair.expires_in,
            user=account_view(user),
        )
