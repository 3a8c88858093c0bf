"""Creating, listing and revoking API keys."""

from dataclasses import dataclass, field
from datetime import datetime

from application.identity.credentials import ApiKeyReader, ApiKeys
from application.identity.password_confirmation import confirm_password
from application.identity.ports import CredentialsReader, IdentityUnits, PasswordHasher
from application.identity.views import ApiKeyListView, CreatedApiKeyView, api_key_view
from application.shared.clock import Clock
from application.shared.errors import VersionConflict
from application.shared.idempotency import IdempotencyClaim
from application.shared.ids import IdGenerator
from domain.identity.api_key import API_KEYS_PER_USER, ApiKey, ApiKeyName
from domain.identity.errors import InvalidToken, TooManyApiKeys, UserNotFound
from domain.identity.values import Password
from domain.shared.actor import Actor, Scope
from domain.shared.ids import ApiKeyId


@dataclass(frozen=True, slots=True)
class CreateApiKeyCommand:
    actor: Actor
    password: Password = field(repr=False)
    name: ApiKeyName
    scopes: frozenset[Scope]
    expires_at: datetime | None
    idempotency: IdempotencyClaim[CreatedApiKeyView] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateApiKey:
    """Make a key for a program, given the password: good for the scopes it names and no more, and shown this once.

    It may never do what only a session may: passwords, second factors, sessions, other keys. It ends when it expires,
    when it is revoked, when the password is reset by mail, and with its account. Without `expires_at` it does not
    expire. An account has at most 100.
    """

    uow: IdentityUnits
    credentials: CredentialsReader
    hasher: PasswordHasher
    keys: ApiKeys
    ids: IdGenerator
    clock: Clock

    async def execute(self, command: CreateApiKeyCommand) -> CreatedApiKeyView:
        command.actor.require_scope(None)
        found = await confirm_password(
            command.actor,
            command.password,
            uow=self.uow,
            credentials=self.credentials,
            hasher=self.hasher,
            clock=self.clock,
        )
        now = self.clock.now()
        new = self.keys.new()
        key = ApiKey.create(
            id=ApiKeyId(self.ids.new(now)),
            user_id=command.actor.user_id,
            name=command.name,
            scopes=command.scopes,
            hash=self.keys.hash(new.text),
            hint=new.hint,
            expires_at=command.expires_at,
            at=now,
        )
        view = created_view(key, new.text)
        async with self.uow() as uow:
            try:
                # The lock on the account is what makes the count hold.
                user = await uow.users.get(command.actor.user_id)
            except UserNotFound:
                raise InvalidToken from None
            if user.password_hash != found.password_hash:
                raise VersionConflict  # Changed meanwhile, and a key made now would outlive a reset.
            await uow.idempotency.claim(command.idempotency, view)
            if await uow.api_keys.count(command.actor.user_id) >= API_KEYS_PER_USER:
                raise TooManyApiKeys
            await uow.api_keys.add(key)
            await uow.commit()
        return view


def created_view(key: ApiKey, text: str) -> CreatedApiKeyView:
    view = api_key_view(key)
    return CreatedApiKeyView(
        id=view.id,
        name=view.name,
        scopes=view.scopes,
        hint=view.hint,
        created_at=view.created_at,
        expires_at=view.expires_at,
        last_used_at=view.last_used_at,
        key=text,
    )


@dataclass(frozen=True, slots=True)
class ListApiKeysQuery:
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class ListApiKeys:
    """List the caller's API keys, the newest first; the keys themselves are not shown again."""

    reader: ApiKeyReader

    async def execute(self, query: ListApiKeysQuery) -> ApiKeyListView:
        query.actor.require_scope(None)
        return ApiKeyListView(items=await self.reader.of_user(query.actor.user_id))


@dataclass(frozen=True, slots=True)
class RevokeApiKeyCommand:
    actor: Actor
    key_id: ApiKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeApiKey:
    """Take a key away; within a second no worker and no instance accepts it any more."""

    uow: IdentityUnits
    clock: Clock

    async def execute(self, command: RevokeApiKeyCommand) -> None:
        command.actor.require_scope(None)
        async with self.uow() as uow:
            key = await uow.api_keys.get(command.actor.user_id, command.key_id)
            key.revoke(at=self.clock.now())
            await uow.api_keys.remove(key)
            await uow.commit()
