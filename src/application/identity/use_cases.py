"""The use cases of identity, over their ports."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from application.identity.change_password import ChangePassword
from application.identity.create_admin import CreateAdmin
from application.identity.create_user import CreateUser
from application.identity.credentials import (
    AccountMails,
    ApiKeyReader,
    ApiKeys,
    OneTimeTokens,
    RecoveryCodes,
    SecretBox,
    TotpCodes,
)
from application.identity.delete_account import DeleteAccount
from application.identity.delete_user import DeleteUser
from application.identity.edit_profile import EditProfile
from application.identity.export_data import (
    AccountExport,
    ApiKeysExport,
    AuditExport,
    ExportData,
    SecondFactorExport,
    SessionsExport,
)
from application.identity.get_account import GetAccount
from application.identity.get_user import GetUser
from application.identity.list_audit import ListAudit
from application.identity.list_sessions import ListSessions
from application.identity.list_users import ListUsers
from application.identity.log_in import LogIn, LogInCommand
from application.identity.log_out import LogOut
from application.identity.log_out_by_token import LogOutByToken
from application.identity.log_out_everywhere import LogOutEverywhere
from application.identity.manage_api_keys import CreateApiKey, ListApiKeys, RevokeApiKey
from application.identity.manage_totp import ConfirmTotp, DisableTotp, EnrolTotp, GetTotp
from application.identity.note_api_key_use import NoteApiKeyUse
from application.identity.note_session_use import NoteSessionUse
from application.identity.open_session import OpenSession
from application.identity.ports import (
    AccountReader,
    AuditReader,
    CommonPasswords,
    CredentialsReader,
    IdentityUnits,
    PasswordHasher,
    RefreshTokens,
    SessionReader,
    UserReader,
)
from application.identity.refresh_session import RefreshSession
from application.identity.register import Register
from application.identity.reinstate_user import ReinstateUser
from application.identity.replace_user import ReplaceUser
from application.identity.request_password_reset import RequestPasswordReset, RequestPasswordResetCommand
from application.identity.reset_password import ResetPassword
from application.identity.revoke_session import RevokeSession
from application.identity.second_factor import SecondFactorVerifier
from application.identity.send_verification import SendVerification, SignUpWithVerification
from application.identity.sign_up import SignUp
from application.identity.suspend_user import SuspendUser
from application.identity.tokens import TokenIssuer
from application.identity.verify_email import VerifyEmail
from application.identity.views import TokenPairView
from application.shared.background import Background, Deferred
from application.shared.clock import Clock
from application.shared.export import ExportSource
from application.shared.ids import IdGenerator, UsernameGenerator
from application.shared.paging import CursorCodec
from application.shared.use_case import UseCase
from application.shared.writing import Writing
from domain.identity.reserved import ReservedUsernames

C = TypeVar("C")
R = TypeVar("R")
Decorator: TypeAlias = Callable[[UseCase[C, R]], UseCase[C, R]]


class IdentityUseCases:
    def __init__(
        self,
        *,
        uow: IdentityUnits,
        credentials: CredentialsReader,
        accounts: AccountReader,
        users: UserReader,
        sessions: SessionReader,
        api_keys: ApiKeyReader,
        audit: AuditReader,
        exports: Sequence[ExportSource],
        hasher: PasswordHasher,
        common_passwords: CommonPasswords,
        usernames: UsernameGenerator,
        reserved: ReservedUsernames,
        issuer: TokenIssuer,
        refresh_tokens: RefreshTokens,
        one_time_tokens: OneTimeTokens,
        totp: TotpCodes,
        box: SecretBox,
        recovery_codes: RecoveryCodes,
        keys: ApiKeys,
        mails: AccountMails,
        background: Background,
        ids: IdGenerator,
        clock: Clock,
        cursors: CursorCodec,
        writing: Writing,
        limit_log_in: Decorator[LogInCommand, TokenPairView],
        limit_password_reset: Decorator[RequestPasswordResetCommand, None],
    ) -> None:
        """`exports` are those of other contexts."""
        second_factor = SecondFactorVerifier(totp=totp, box=box, recovery_codes=recovery_codes)

        # Accounts
        self.send_verification = Deferred(
            writing(SendVerification(uow=uow, tokens=one_time_tokens, mails=mails, clock=clock)), background
        )
        register = writing(Register(uow=uow, issuer=issuer, ids=ids, clock=clock))
        self.sign_up = SignUpWithVerification(
            SignUp(
                hasher=hasher,
                common_passwords=common_passwords,
                usernames=usernames,
                reserved=reserved,
                register=register,
            ),
            send=self.send_verification,
        )
        self.verify_email = writing(VerifyEmail(uow=uow, tokens=one_time_tokens, clock=clock))
        self.get_account = GetAccount(accounts=accounts)
        self.edit_profile = writing(EditProfile(uow=uow, reserved=reserved, clock=clock))
        self.delete_account = writing(DeleteAccount(uow=uow, credentials=credentials, hasher=hasher, clock=clock))
        sources = [
            AccountExport(accounts),
            SecondFactorExport(uow),
            SessionsExport(sessions),
            ApiKeysExport(api_keys),
            *exports,
            AuditExport(audit),
        ]
        self.export_data = writing(ExportData(uow=uow, accounts=accounts, sources=sources, clock=clock))

        # Sessions
        open_session = writing(OpenSession(uow=uow, issuer=issuer, second_factor=second_factor, clock=clock))
        self.log_in = limit_log_in(LogIn(uow=uow, credentials=credentials, hasher=hasher, open_session=open_session))
        self.refresh_session = writing(
            RefreshSession(uow=uow, refresh_tokens=refresh_tokens, issuer=issuer, clock=clock)
        )
        self.note_session_use = writing(NoteSessionUse(uow=uow))
        self.list_sessions = ListSessions(sessions=sessions, cursors=cursors, clock=clock)
        self.revoke_session = writing(RevokeSession(uow=uow, clock=clock))
        self.log_out = writing(LogOut(uow=uow, clock=clock))
        self.log_out_by_token = writing(LogOutByToken(uow=uow, refresh_tokens=refresh_tokens, clock=clock))
        self.log_out_everywhere = writing(LogOutEverywhere(uow=uow, clock=clock))

        # Passwords, second factors and API keys
        self.change_password = writing(
            ChangePassword(
                uow=uow, credentials=credentials, hasher=hasher, common_passwords=common_passwords, clock=clock
            )
        )
        request_password_reset = RequestPasswordReset(
            uow=uow, credentials=credentials, tokens=one_time_tokens, mails=mails, clock=clock
        )
        self.request_password_reset = limit_password_reset(Deferred(writing(request_password_reset), background))
        self.reset_password = writing(
            ResetPassword(
                uow=uow,
                credentials=credentials,
                tokens=one_time_tokens,
                hasher=hasher,
                common_passwords=common_passwords,
                mails=mails,
                clock=clock,
            )
        )
        self.get_totp = GetTotp(uow=uow)
        self.enrol_totp = writing(
            EnrolTotp(uow=uow, credentials=credentials, hasher=hasher, totp=totp, box=box, clock=clock)
        )
        self.confirm_totp = writing(
            ConfirmTotp(uow=uow, verifier=second_factor, recovery_codes=recovery_codes, clock=clock)
        )
        self.disable_totp = writing(
            DisableTotp(uow=uow, credentials=credentials, hasher=hasher, verifier=second_factor, clock=clock)
        )
        self.create_api_key = writing(
            CreateApiKey(uow=uow, credentials=credentials, hasher=hasher, keys=keys, ids=ids, clock=clock)
        )
        self.list_api_keys = ListApiKeys(reader=api_keys)
        self.revoke_api_key = writing(RevokeApiKey(uow=uow, clock=clock))
        self.note_api_key_use = Deferred(writing(NoteApiKeyUse(uow=uow, clock=clock)), background)

        # Administration
        self.create_admin = writing(
            CreateAdmin(uow=uow, hasher=hasher, common_passwords=common_passwords, ids=ids, clock=clock)
        )
        self.list_users = ListUsers(users=users, cursors=cursors)
        self.get_user = GetUser(users=users)
        self.create_user = writing(
            CreateUser(uow=uow, hasher=hasher, common_passwords=common_passwords, ids=ids, clock=clock)
        )
        self.replace_user = writing(ReplaceUser(uow=uow, clock=clock))
        self.delete_user = writing(DeleteUser(uow=uow, clock=clock))
        self.suspend_user = writing(SuspendUser(uow=uow, clock=clock))
        self.reinstate_user = writing(ReinstateUser(uow=uow, clock=clock))
        self.list_audit = ListAudit(audit=audit, cursors=cursors)
