"""Mailed tokens, second factors and API keys in memory."""

from dataclasses import replace
from datetime import datetime

from adapters.memory.store import MemoryStore, Transaction, copy_of
from application.identity.credentials import (
    ApiKeyGrant,
    ApiKeyReader,
    ApiKeyRepository,
    OneTimeTokenRepository,
    SecondFactorRepository,
)
from application.identity.views import ApiKeyView, api_key_view
from application.shared.errors import VersionConflict
from domain.identity.api_key import ApiKey, ApiKeyHash
from domain.identity.errors import ApiKeyNotFound, InvalidOneTimeToken, UserNotFound
from domain.identity.one_time_token import REPLACED, OneTimeToken, OneTimeTokenHash, Purpose
from domain.identity.second_factor import SecondFactor
from domain.shared.ids import ApiKeyId, UserId


class MemoryOneTimeTokenRepository(OneTimeTokenRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def put(self, token: OneTimeToken) -> None:
        await self._transaction.lock()
        if self._transaction.users.get(token.user_id) is None:
            raise UserNotFound
        if token.purpose in REPLACED:
            await self.discard(token.user_id, token.purpose)
        self._transaction.one_time_tokens.put(token.hash.digest, token)

    async def find(self, hash: OneTimeTokenHash, purpose: Purpose) -> OneTimeToken:
        token = self._transaction.one_time_tokens.get(hash.digest)
        if token is None or token.purpose is not purpose:
            raise InvalidOneTimeToken
        return token

    async def consume(self, token: OneTimeToken) -> None:
        await self._transaction.lock()
        if self._transaction.one_time_tokens.get(token.hash.digest) is None:
            raise InvalidOneTimeToken
        self._transaction.one_time_tokens.remove(token.hash.digest)

    async def discard(self, user_id: UserId, purpose: Purpose) -> None:
        await self._transaction.lock()
        held = [t for t in self._transaction.one_time_tokens.values() if t.user_id == user_id and t.purpose is purpose]
        for token in held:
            self._transaction.one_time_tokens.remove(token.hash.digest)


class MemorySecondFactorRepository(SecondFactorRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, factor: SecondFactor) -> None:
        await self._transaction.lock()
        if self._transaction.users.get(factor.user_id) is None:
            raise UserNotFound
        if self._transaction.second_factors.get(factor.user_id) is not None:
            raise VersionConflict
        self._store(factor)

    async def find(self, user_id: UserId) -> SecondFactor | None:
        await self._transaction.lock()
        factor = self._transaction.second_factors.get(user_id)
        return None if factor is None else copy_of(factor)

    async def save(self, factor: SecondFactor) -> None:
        await self._require_unchanged(factor)
        factor.version += 1
        self._store(factor)

    async def remove(self, factor: SecondFactor) -> None:
        await self._require_unchanged(factor)
        self._transaction.second_factors.remove(factor.user_id)
        self._transaction.track(factor)

    async def _require_unchanged(self, factor: SecondFactor) -> None:
        await self._transaction.lock()
        stored = self._transaction.second_factors.get(factor.user_id)
        if stored is None or stored.version != factor.version:
            raise VersionConflict

    def _store(self, factor: SecondFactor) -> None:
        self._transaction.second_factors.put(factor.user_id, copy_of(factor))
        self._transaction.track(factor)


class MemoryApiKeyRepository(ApiKeyRepository):
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, key: ApiKey) -> None:
        await self._transaction.lock()
        if self._transaction.users.get(key.user_id) is None:
            raise UserNotFound
        if self._transaction.api_keys.get(key.id) is not None:
            raise ValueError(f"there is an API key {key.id} already")
        self._transaction.api_keys.put(key.id, copy_of(key))
        self._transaction.track(key)

    async def get(self, user_id: UserId, key_id: ApiKeyId) -> ApiKey:
        await self._transaction.lock()
        key = self._transaction.api_keys.get(key_id)
        if key is None or key.user_id != user_id:
            raise ApiKeyNotFound
        return copy_of(key)

    async def remove(self, key: ApiKey) -> None:
        await self._transaction.lock()
        if self._transaction.api_keys.get(key.id) is None:
            raise ApiKeyNotFound
        self._transaction.api_keys.remove(key.id)
        self._transaction.track(key)

    async def list_of(self, user_id: UserId) -> list[ApiKey]:
        await self._transaction.lock()
        keys = [key for key in self._transaction.api_keys.values() if key.user_id == user_id]
        return [copy_of(key) for key in sorted(keys, key=lambda key: key.id, reverse=True)]

    async def count(self, user_id: UserId) -> int:
        await self._transaction.lock()
        return sum(1 for key in self._transaction.api_keys.values() if key.user_id == user_id)

    async def note_use(self, key_id: ApiKeyId, *, at: datetime, unless_since: datetime) -> None:
        await self._transaction.lock()
        key = self._transaction.api_keys.get(key_id)
        if key is not None and (key.last_used_at is None or key.last_used_at <= unless_since):
            self._transaction.api_keys.put(key_id, replace(key, last_used_at=at))


class MemoryApiKeyReader(ApiKeyReader):
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def by_hash(self, hash: ApiKeyHash) -> ApiKeyGrant | None:
        for key in self._store.api_keys.values():
            if key.hash == hash:
                user = self._store.users[key.user_id]
                return ApiKeyGrant(
                    key_id=key.id,
                    user_id=user.id,
                    role=user.role,
                    is_active=user.is_active,
                    scopes=key.scopes,
                    expires_at=key.expires_at,
                    last_used_at=key.last_used_at,
                )
        return None

    async def of_user(self, user_id: UserId) -> list[ApiKeyView]:
        keys = [key for key in self._store.api_keys.values() if key.user_id == user_id]
        return [api_key_view(key) for key in sorted(keys, key=lambda key: key.id, reverse=True)]
