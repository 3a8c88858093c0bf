"""Mailed tokens, second factors and API keys in a database."""

from datetime import datetime

from sqlalchemy import bindparam, delete, func, insert, or_, select, type_coerce, update

from adapters.sql.database import AnyRow, Database
from adapters.sql.errors import ConstraintErrors
from adapters.sql.mapping import Values
from adapters.sql.tables import ApiKeyRow, OneTimeTokenRow, SecondFactorRow, UserRow, table_of
from adapters.sql.transaction import SqlRepository, write_each
from adapters.sql.types import IdText, Timestamp, TimestampText
from application.identity.credentials import (
    ApiKeyGrant,
    ApiKeyReader,
    ApiKeyRepository,
    OneTimeTokenRepository,
    SecondFactorRepository,
)
from application.identity.views import ApiKeyView
from application.shared.errors import VersionConflict
from domain.identity.api_key import ApiKey, ApiKeyHash, ApiKeyName
from domain.identity.errors import ApiKeyNotFound, InvalidOneTimeToken, UserNotFound
from domain.identity.one_time_token import REPLACED, OneTimeToken, OneTimeTokenHash, Purpose
from domain.identity.second_factor import RecoveryCodeHash, SecondFactor
from domain.identity.values import UserStatus
from domain.shared.actor import Role, Scope
from domain.shared.ids import ApiKeyId, UserId

_USERS = table_of(UserRow)
_TOKENS = table_of(OneTimeTokenRow)
_FACTORS = table_of(SecondFactorRow)
_KEYS = table_of(ApiKeyRow)

_TOKEN_OF_A_USER: ConstraintErrors = {"fk_one_time_tokens_user_id_users": UserNotFound}
# SQLite and MySQL do not name a primary key; `pk_` tells the kind, which is enough with one in question.
_FACTOR_OF_A_USER: ConstraintErrors = {
    "fk_second_factors_user_id_users": UserNotFound,
    "pk_second_factors": VersionConflict,
}
_KEY_OF_A_USER: ConstraintErrors = {"fk_api_keys_user_id_users": UserNotFound}

_INSERT_TOKEN = insert(_TOKENS)
_FIND_TOKEN = select(_TOKENS).where(
    _TOKENS.c.token_hash == bindparam("hash", type_=_TOKENS.c.token_hash.type), _TOKENS.c.purpose == bindparam("of")
)
_DISCARD_TOKEN = delete(_TOKENS).where(_TOKENS.c.user_id == bindparam("of_user"), _TOKENS.c.purpose == bindparam("of"))
_SPEND_TOKEN = _DISCARD_TOKEN.where(_TOKENS.c.token_hash == bindparam("hash", type_=_TOKENS.c.token_hash.type))

_PURGE_BATCH = 500
_ENDED = (
    select(_TOKENS.c.token_hash)
    .where(_TOKENS.c.expires_at <= bindparam("until", type_=Timestamp))
    .order_by(_TOKENS.c.expires_at)
    .limit(_PURGE_BATCH)
)
_FORGET_TOKEN = delete(_TOKENS).where(_TOKENS.c.token_hash == bindparam("at_hash", type_=_TOKENS.c.token_hash.type))

_LOAD_FACTOR = select(_FACTORS).where(_FACTORS.c.user_id == bindparam("of_user")).with_for_update()
_INSERT_FACTOR = insert(_FACTORS)
_AS_LOADED = (_FACTORS.c.user_id == bindparam("of_user"), _FACTORS.c.version == bindparam("at_version"))
_UPDATE_FACTOR = update(_FACTORS).where(*_AS_LOADED)
_DELETE_FACTOR = delete(_FACTORS).where(*_AS_LOADED)

_INSERT_KEY = insert(_KEYS)
_LOAD_KEY = (
    select(_KEYS).where(_KEYS.c.id == bindparam("at_id"), _KEYS.c.user_id == bindparam("of_user")).with_for_update()
)
_LOAD_KEYS = select(_KEYS).where(_KEYS.c.user_id == bindparam("of_user")).order_by(_KEYS.c.id.desc()).with_for_update()
_DELETE_KEY = delete(_KEYS).where(_KEYS.c.id == bindparam("at_id"))
_COUNT_KEYS = select(func.count()).select_from(_KEYS).where(_KEYS.c.user_id == bindparam("of_user"))
_NOTE_USE = (
    update(_KEYS)
    .where(
        _KEYS.c.id == bindparam("at_id"),
        or_(_KEYS.c.last_used_at.is_(None), _KEYS.c.last_used_at <= bindparam("since", type_=Timestamp)),
    )
    .values(last_used_at=bindparam("at", type_=Timestamp))
)
_GRANT = (
    select(
        _KEYS.c.id,
        _KEYS.c.user_id,
        _USERS.c.role,
        _USERS.c.status,
        _KEYS.c.scopes,
        _KEYS.c.expires_at,
        _KEYS.c.last_used_at,
    )
    .join(_USERS, _USERS.c.id == _KEYS.c.user_id)
    .where(_KEYS.c.key_hash == bindparam("hash", type_=_KEYS.c.key_hash.type))
)
_KEYS_OF_USER = (
    select(
        type_coerce(_KEYS.c.id, IdText),
        _KEYS.c.name,
        _KEYS.c.scopes,
        _KEYS.c.hint,
        type_coerce(_KEYS.c.created_at, TimestampText),
        type_coerce(_KEYS.c.expires_at, TimestampText),
        type_coerce(_KEYS.c.last_used_at, TimestampText),
    )
    .where(_KEYS.c.user_id == bindparam("of_user"))
    .order_by(_KEYS.c.id.desc())
)

_DIGEST_BYTES = 32


class SqlOneTimeTokenRepository(SqlRepository, OneTimeTokenRepository):
    async def put(self, token: OneTimeToken) -> None:
        if token.purpose in REPLACED:
            await self.discard(token.user_id, token.purpose)
        values = {
            "user_id": token.user_id,
            "purpose": token.purpose.value,
            "token_hash": token.hash.digest,
            "email_key": token.email_key,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }
        await self._transaction.enqueue(_INSERT_TOKEN, values, _TOKEN_OF_A_USER)

    async def find(self, hash: OneTimeTokenHash, purpose: Purpose) -> OneTimeToken:
        found = await self._transaction.run(_FIND_TOKEN, {"hash": hash.digest, "of": purpose.value})
        row = found.one_or_none()
        if row is None:
            raise InvalidOneTimeToken
        return OneTimeToken(
            user_id=UserId(row.user_id),
            purpose=Purpose(row.purpose),
            hash=OneTimeTokenHash(row.token_hash),
            email_key=row.email_key,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )

    async def consume(self, token: OneTimeToken) -> None:
        parameters = {"of_user": token.user_id, "of": token.purpose.value, "hash": token.hash.digest}
        if (await self._transaction.run(_SPEND_TOKEN, parameters)).count != 1:
            raise InvalidOneTimeToken

    async def discard(self, user_id: UserId, purpose: Purpose) -> None:
        await self._transaction.enqueue(_DISCARD_TOKEN, {"of_user": user_id, "of": purpose.value})


async def purge_one_time_tokens(database: Database, *, until: datetime) -> int:
    """Forget tokens that ended at `until` or before, a bounded number of them; return how many."""
    rows = await database.fetch_all(_ENDED, {"until": until})
    return await write_each(database, _FORGET_TOKEN, [{"at_hash": row.token_hash} for row in rows])


class SqlSecondFactorRepository(SqlRepository, SecondFactorRepository):
    async def add(self, factor: SecondFactor) -> None:
        values = {**_factor_values(factor), "version": factor.version}
        await self._transaction.run(_INSERT_FACTOR, values, _FACTOR_OF_A_USER)
        self._track(factor)

    async def find(self, user_id: UserId) -> SecondFactor | None:
        row = (await self._transaction.run(_LOAD_FACTOR, {"of_user": user_id})).one_or_none()
        if row is None:
            return None
        return SecondFactor.restore(
            user_id=UserId(row.user_id),
            sealed_secret=row.sealed_secret,
            confirmed_at=row.confirmed_at,
            last_step=row.last_step,
            recovery=_recovery_codes(row.recovery),
            failures=row.failures,
            blocked_until=row.blocked_until,
            created_at=row.created_at,
            version=row.version,
        )

    async def save(self, factor: SecondFactor) -> None:
        moved = {"version": factor.version + 1, "of_user": factor.user_id, "at_version": factor.version}
        await self._transaction.run_guarded(_UPDATE_FACTOR, {**_factor_values(factor), **moved})
        factor.version += 1
        self._track(factor)

    async def remove(self, factor: SecondFactor) -> None:
        loaded = {"of_user": factor.user_id, "at_version": factor.version}
        await self._transaction.run_guarded(_DELETE_FACTOR, loaded)
        self._track(factor)


class SqlApiKeyRepository(SqlRepository, ApiKeyRepository):
    async def add(self, key: ApiKey) -> None:
        values = {
            "id": key.id,
            "user_id": key.user_id,
            "name": key.name.value,
            "scopes": " ".join(sorted(key.scopes)),
            "key_hash": key.hash.digest,
            "hint": key.hint,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "last_used_at": key.last_used_at,
        }
        await self._transaction.run(_INSERT_KEY, values, _KEY_OF_A_USER)
        self._track(key)

    async def get(self, user_id: UserId, key_id: ApiKeyId) -> ApiKey:
        row = (await self._transaction.run(_LOAD_KEY, {"at_id": key_id, "of_user": user_id})).one_or_none()
        if row is None:
            raise ApiKeyNotFound
        return _api_key(row)

    async def remove(self, key: ApiKey) -> None:
        if (await self._transaction.run(_DELETE_KEY, {"at_id": key.id})).count != 1:
            raise ApiKeyNotFound
        self._track(key)

    async def list_of(self, user_id: UserId) -> list[ApiKey]:
        rows = (await self._transaction.run(_LOAD_KEYS, {"of_user": user_id})).rows
        return [_api_key(row) for row in rows]

    async def count(self, user_id: UserId) -> int:
        return int((await self._transaction.run(_COUNT_KEYS, {"of_user": user_id})).scalar())

    async def note_use(self, key_id: ApiKeyId, *, at: datetime, unless_since: datetime) -> None:
        await self._transaction.run(_NOTE_USE, {"at_id": key_id, "at": at, "since": unless_since})


class SqlApiKeyReader(ApiKeyReader):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_hash(self, hash: ApiKeyHash) -> ApiKeyGrant | None:
        row = await self._database.fetch_one(_GRANT, {"hash": hash.digest}, on_loop=True)
        if row is None:
            return None
        return ApiKeyGrant(
            key_id=ApiKeyId(row.id),
            user_id=UserId(row.user_id),
            role=Role(row.role),
            is_active=UserStatus(row.status) is UserStatus.ACTIVE,
            scopes=_scopes(row.scopes),
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
        )

    async def of_user(self, user_id: UserId) -> list[ApiKeyView]:
        rows = await self._database.fetch_all(_KEYS_OF_USER, {"of_user": user_id})
        return [ApiKeyView(**{**row._asdict(), "scopes": sorted(_scopes(row.scopes))}) for row in rows]


def _api_key(row: AnyRow) -> ApiKey:
    return ApiKey.restore(
        id=ApiKeyId(row.id),
        user_id=UserId(row.user_id),
        name=ApiKeyName(row.name),
        scopes=_scopes(row.scopes),
        hash=ApiKeyHash(row.key_hash),
        hint=row.hint,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def _factor_values(factor: SecondFactor) -> Values:
    """Return what a second factor stores, except for its version, which the statement moves on."""
    return {
        "user_id": factor.user_id,
        "sealed_secret": factor.sealed_secret,
        "confirmed_at": factor.confirmed_at,
        "last_step": factor.last_step,
        "recovery": b"".join(sorted(code.digest for code in factor.recovery)),
        "failures": factor.failures,
        "blocked_until": factor.blocked_until,
        "created_at": factor.created_at,
    }


def _recovery_codes(stored: bytes) -> frozenset[RecoveryCodeHash]:
    digests = (stored[at : at + _DIGEST_BYTES] for at in range(0, len(stored), _DIGEST_BYTES))
    return frozenset(RecoveryCodeHash(digest) for digest in digests)


def _scopes(stored: str) -> frozenset[Scope]:
    return frozenset(Scope(word) for word in stored.split())
