"""Enrolling, confirming and disabling the second factor, and looking at its state."""

from dataclasses import dataclass, field

from application.identity.credentials import RecoveryCodes, SecretBox, TotpCodes
from application.identity.password_confirmation import confirm_password
from application.identity.ports import CredentialsReader, IdentityUnits, PasswordHasher
from application.identity.second_factor import Proof, SecondFactorVerifier
from application.identity.views import RecoveryCodesView, TotpEnrolmentView, TotpStateView, totp_state_view
from application.shared.clock import Clock
from application.shared.errors import VersionConflict
from domain.identity.errors import (
    InvalidToken,
    TotpAlreadyEnabled,
    TotpNotEnabled,
    UserNotFound,
    WrongCode,
)
from domain.identity.second_factor import RECOVERY_CODES, CodeResult, SecondFactor
from domain.identity.values import Password
from domain.shared.actor import Actor


@dataclass(frozen=True, slots=True)
class EnrolTotpCommand:
    actor: Actor
    password: Password = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolTotp:
    """Get a secret for an authenticator app, given the password. It counts for nothing until a first code confirms it.

    Asked again before that, there is a new secret in the place of the old one.
    """

    uow: IdentityUnits
    credentials: CredentialsReader
    hasher: PasswordHasher
    totp: TotpCodes
    box: SecretBox
    clock: Clock

    async def execute(self, command: EnrolTotpCommand) -> TotpEnrolmentView:
        command.actor.require_scope(None)
        found = await confirm_password(
            command.actor,
            command.password,
            uow=self.uow,
            credentials=self.credentials,
            hasher=self.hasher,
            clock=self.clock,
        )
        user_id, now = command.actor.user_id, self.clock.now()
        secret = self.totp.new_secret()
        sealed = self.box.seal(secret, owner=user_id)
        async with self.uow() as uow:
            try:
                user = await uow.users.get(user_id)
            except UserNotFound:
                raise InvalidToken from None
            if user.password_hash != found.password_hash:
                raise VersionConflict  # Changed meanwhile: what was confirmed is no longer the password.
            factor = await uow.second_factors.find(user_id)
            if factor is None:
                await uow.second_factors.add(SecondFactor.enrol(user_id=user_id, sealed_secret=sealed, at=now))
            else:
                factor.re_enrol(sealed, at=now)
                await uow.second_factors.save(factor)
            await uow.commit()
        return TotpEnrolmentView(secret=secret, uri=self.totp.uri(secret, account=user.email.value))


@dataclass(frozen=True, slots=True)
class ConfirmTotpCommand:
    actor: Actor
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmTotp:
    """Put the second factor into force with a first code, and get ten recovery codes, shown this once.

    From then on logging in takes a code too. Sessions that are open stay open.
    """

    uow: IdentityUnits
    verifier: SecondFactorVerifier
    recovery_codes: RecoveryCodes
    clock: Clock

    async def execute(self, command: ConfirmTotpCommand) -> RecoveryCodesView:
        command.actor.require_scope(None)
        user_id, now = command.actor.user_id, self.clock.now()
        codes = self.recovery_codes.new(RECOVERY_CODES)
        async with self.uow() as uow:
            factor = await uow.second_factors.find(user_id)
            if factor is None:
                raise TotpNotEnabled
            if factor.is_confirmed:
                raise TotpAlreadyEnabled
            verdict = self.verifier.judge(factor, Proof(code=command.code), at=now)
            if verdict is CodeResult.ACCEPTED:
                factor.confirm((self.recovery_codes.hash(code, owner=user_id) for code in codes), at=now)
            await uow.second_factors.save(factor)
            await uow.commit()
        if verdict is CodeResult.REFUSED:
            raise WrongCode
        return RecoveryCodesView(recovery_codes=codes)


@dataclass(frozen=True, slots=True)
class DisableTotpCommand:
    actor: Actor
    password: Password | None = field(default=None, repr=False)
    proof: Proof = field(default_factory=Proof)
    """A code, or a recovery code. Either it or the password is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableTotp:
    """Take the second factor away, given the password, a code or a recovery code."""

    uow: IdentityUnits
    credentials: CredentialsReader
    hasher: PasswordHasher
    verifier: SecondFactorVerifier
    clock: Clock

    async def execute(self, command: DisableTotpCommand) -> None:
        command.actor.require_scope(None)
        if command.password is not None:
            await confirm_password(
                command.actor,
                command.password,
                uow=self.uow,
                credentials=self.credentials,
                hasher=self.hasher,
                clock=self.clock,
            )
        verdict = CodeResult.ACCEPTED
        now = self.clock.now()
        async with self.uow() as uow:
            factor = await uow.second_factors.find(command.actor.user_id)
            if factor is None:
                raise TotpNotEnabled
            if command.password is None:
                verdict = self.verifier.judge(factor, command.proof, at=now)
            if verdict is CodeResult.ACCEPTED:
                factor.disable(at=now)
                await uow.second_factors.remove(factor)
            else:
                await uow.second_factors.save(factor)
            await uow.commit()
        if verdict is CodeResult.REFUSED:
            raise WrongCode


@dataclass(frozen=True, slots=True)
class GetTotpQuery:
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class GetTotp:
    """Tell whether a second factor is in force, and how many recovery codes are left."""

    uow: IdentityUnits

    async def execute(self, query: GetTotpQuery) -> TotpStateView:
        query.actor.require_scope(None)
        async with self.uow() as uow:
            factor = await uow.second_factors.find(query.actor.user_id)
        return totp_state_view(factor)
