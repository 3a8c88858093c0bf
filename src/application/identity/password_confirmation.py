"""Asking for the password once more before something grave: what several use cases do alike."""

from application.identity.audit import AuditEntry, AuditOnlyEvent
from application.identity.ports import Credentials, CredentialsReader, IdentityUnits, PasswordHasher
from application.shared.clock import Clock
from domain.identity.errors import InvalidToken, WrongPassword
from domain.identity.values import Password
from domain.shared.actor import Actor


async def confirm_password(
    actor: Actor,
    password: Password,
    *,
    uow: IdentityUnits,
    credentials: CredentialsReader,
    hasher: PasswordHasher,
    clock: Clock,
) -> Credentials:
    """Return what the password was checked against, which may have changed by the time that it is acted on.

    Raises `WrongPassword`, and keeps a trace of it: whoever holds an open session may be guessing. Raises
    `InvalidToken` when the account is gone.
    """
    found = await credentials.by_id(actor.user_id)
    if found is None:
        raise InvalidToken
    if not (await hasher.verify(found.password_hash, password)).matches:
        entry = AuditEntry(
            event=AuditOnlyEvent.WRONG_PASSWORD, at=clock.now(), actor=actor.user_id, subject=actor.user_id
        )
        async with uow() as unit:
            await unit.audit.record(entry)
            await unit.commit()
        raise WrongPassword
    return found
