"""The use cases of identity."""

from dependency_injector import providers

from adapters.security.api_key_directory import ApiKeyDirectory
from application.identity.change_password import ChangePassword
from application.identity.create_admin import CreateAdmin
from application.identity.create_user import CreateUser
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
from application.identity.log_in import LogIn
from application.identity.log_out import LogOut
from application.identity.log_out_by_token import LogOutByToken
from application.identity.log_out_everywhere import LogOutEverywhere
from application.identity.manage_api_keys import CreateApiKey, ListApiKeys, RevokeApiKey
from application.identity.manage_totp import ConfirmTotp, DisableTotp, EnrolTotp, GetTotp
from application.identity.note_api_key_use import NoteApiKeyUse
from application.identity.note_session_use import NoteSessionUse
from application.identity.open_session import OpenSession
from application.identity.refresh_session import RefreshSession
from application.identity.register import Register
from application.identity.reinstate_user import ReinstateUser
from application.identity.replace_user import ReplaceUser
from application.identity.request_password_reset import RequestPasswordReset
from application.identity.reset_password import ResetPassword
from application.identity.revoke_session import RevokeSession
from application.identity.send_verification import SendVerification, SignUpWithVerification
from application.identity.sign_up import SignUp
from application.identity.suspend_user import SuspendUser
from application.identity.verify_email import VerifyEmail
from application.orders.export import OrdersExport
from application.posts.export import PostsExport, VotesExport
from application.shared.background import Deferred
from entrypoints.container.infrastructure import Infrastructure
from entrypoints.container.rate_limits import RateLimits, guarded_log_in, guarded_password_reset
from entrypoints.container.retried import retried


class IdentityUseCases(RateLimits):
    """Accounts, sessions, credentials and administration."""

    send_verification = providers.Singleton(
        Deferred,
        providers.Singleton(
            retried,
            providers.Singleton(
                SendVerification,
                uow=Infrastructure.storage.provided.identity_units,
                tokens=Infrastructure.one_time_tokens,
                mails=Infrastructure.mails,
                clock=Infrastructure.clock,
            ),
        ),
        Infrastructure.background,
    )
    sign_up = providers.Singleton(
        SignUpWithVerification,
        providers.Singleton(
            SignUp,
            hasher=Infrastructure.hasher,
            common_passwords=Infrastructure.common_passwords,
            usernames=Infrastructure.usernames,
            reserved=Infrastructure.reserved_usernames,
            register=providers.Singleton(
                retried,
                providers.Singleton(
                    Register,
                    uow=Infrastructure.storage.provided.identity_units,
                    desk=Infrastructure.desk,
                    ids=Infrastructure.ids,
                    clock=Infrastructure.clock,
                ),
                Infrastructure.storage.provided.grouped,
            ),
        ),
        send=send_verification,
    )
    verify_email = providers.Singleton(
        retried,
        providers.Singleton(
            VerifyEmail,
            uow=Infrastructure.storage.provided.identity_units,
            tokens=Infrastructure.one_time_tokens,
            clock=Infrastructure.clock,
        ),
    )
    request_password_reset = providers.Singleton(
        guarded_password_reset,
        providers.Singleton(
            Deferred,
            providers.Singleton(
                retried,
                providers.Singleton(
                    RequestPasswordReset,
                    uow=Infrastructure.storage.provided.identity_units,
                    credentials=Infrastructure.storage.provided.credentials,
                    tokens=Infrastructure.one_time_tokens,
                    mails=Infrastructure.mails,
                    clock=Infrastructure.clock,
                ),
            ),
            Infrastructure.background,
        ),
        settings=RateLimits.settings,
        limiter=RateLimits.rate_limiter,
        limits=RateLimits.limits,
        origins=RateLimits.origins,
        pseudonym=RateLimits.pseudonym,
    )
    reset_password = providers.Singleton(
        retried,
        providers.Singleton(
            ResetPassword,
            uow=Infrastructure.storage.provided.identity_units,
            credentials=Infrastructure.storage.provided.credentials,
            tokens=Infrastructure.one_time_tokens,
            hasher=Infrastructure.hasher,
            common_passwords=Infrastructure.common_passwords,
            mails=Infrastructure.mails,
            clock=Infrastructure.clock,
        ),
    )
    enrol_totp = providers.Singleton(
        retried,
        providers.Singleton(
            EnrolTotp,
            uow=Infrastructure.storage.provided.identity_units,
            credentials=Infrastructure.storage.provided.credentials,
            hasher=Infrastructure.hasher,
            totp=Infrastructure.totp,
            box=Infrastructure.secret_box,
            clock=Infrastructure.clock,
        ),
    )
    confirm_totp = providers.Singleton(
        retried,
        providers.Singleton(
            ConfirmTotp,
            uow=Infrastructure.storage.provided.identity_units,
            desk=Infrastructure.second_factor,
            recovery_codes=Infrastructure.recovery_codes,
            clock=Infrastructure.clock,
        ),
    )
    disable_totp = providers.Singleton(
        retried,
        providers.Singleton(
            DisableTotp,
            uow=Infrastructure.storage.provided.identity_units,
            credentials=Infrastructure.storage.provided.credentials,
            hasher=Infrastructure.hasher,
            desk=Infrastructure.second_factor,
            clock=Infrastructure.clock,
        ),
    )
    get_totp = providers.Singleton(GetTotp, uow=Infrastructure.storage.provided.identity_units)
    create_api_key = providers.Singleton(
        retried,
        providers.Singleton(
            CreateApiKey,
            uow=Infrastructure.storage.provided.identity_units,
            credentials=Infrastructure.storage.provided.credentials,
            hasher=Infrastructure.hasher,
            keys=Infrastructure.api_keys,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
        ),
    )
    list_api_keys = providers.Singleton(ListApiKeys, reader=Infrastructure.storage.provided.api_keys)
    revoke_api_key = providers.Singleton(
        retried,
        providers.Singleton(
            RevokeApiKey, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock
        ),
    )
    note_api_key_use = providers.Singleton(
        Deferred,
        providers.Singleton(
            retried,
            providers.Singleton(
                NoteApiKeyUse, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock
            ),
        ),
        Infrastructure.background,
    )
    api_key_directory = providers.Singleton(
        ApiKeyDirectory,
        keys=Infrastructure.api_keys,
        reader=Infrastructure.storage.provided.api_keys,
        note_use=note_api_key_use,
        clock=Infrastructure.clock,
    )
    note_session_use = providers.Singleton(
        retried, providers.Singleton(NoteSessionUse, uow=Infrastructure.storage.provided.identity_units)
    )
    log_out_by_token = providers.Singleton(
        retried,
        providers.Singleton(
            LogOutByToken,
            uow=Infrastructure.storage.provided.identity_units,
            refresh_tokens=Infrastructure.refresh_tokens,
            clock=Infrastructure.clock,
        ),
    )
    log_in = providers.Singleton(
        guarded_log_in,
        providers.Singleton(
            LogIn,
            uow=Infrastructure.storage.provided.identity_units,
            credentials=Infrastructure.storage.provided.credentials,
            hasher=Infrastructure.hasher,
            open_session=providers.Singleton(
                retried,
                providers.Singleton(
                    OpenSession,
                    uow=Infrastructure.storage.provided.identity_units,
                    desk=Infrastructure.desk,
                    second_factor=Infrastructure.second_factor,
                    clock=Infrastructure.clock,
                ),
                Infrastructure.storage.provided.grouped,
            ),
        ),
        settings=RateLimits.settings,
        limiter=RateLimits.rate_limiter,
        limits=RateLimits.limits,
        origins=RateLimits.origins,
        pseudonym=RateLimits.pseudonym,
        background=RateLimits.background,
    )
    refresh_session = providers.Singleton(
        retried,
        providers.Singleton(
            RefreshSession,
            uow=Infrastructure.storage.provided.identity_units,
            refresh_tokens=Infrastructure.refresh_tokens,
            desk=Infrastructure.desk,
            clock=Infrastructure.clock,
        ),
    )
    log_out = providers.Singleton(
        retried,
        providers.Singleton(LogOut, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock),
    )
    get_account = providers.Singleton(GetAccount, accounts=Infrastructure.storage.provided.accounts)
    edit_profile = providers.Singleton(
        retried,
        providers.Singleton(
            EditProfile,
            uow=Infrastructure.storage.provided.identity_units,
            reserved=Infrastructure.reserved_usernames,
            clock=Infrastructure.clock,
        ),
    )
    change_password = providers.Singleton(
        retried,
        providers.Singleton(
            ChangePassword,
            uow=Infrastructure.storage.provided.identity_units,
            credentials=Infrastructure.storage.provided.credentials,
            hasher=Infrastructure.hasher,
            common_passwords=Infrastructure.common_passwords,
            clock=Infrastructure.clock,
        ),
    )
    create_admin = providers.Singleton(
        retried,
        providers.Singleton(
            CreateAdmin,
            uow=Infrastructure.storage.provided.identity_units,
            hasher=Infrastructure.hasher,
            common_passwords=Infrastructure.common_passwords,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
        ),
    )
    list_sessions = providers.Singleton(
        ListSessions,
        sessions=Infrastructure.storage.provided.sessions,
        cursors=Infrastructure.cursors,
        clock=Infrastructure.clock,
    )
    revoke_session = providers.Singleton(
        retried,
        providers.Singleton(
            RevokeSession, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock
        ),
    )
    log_out_everywhere = providers.Singleton(
        retried,
        providers.Singleton(
            LogOutEverywhere, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock
        ),
    )
    delete_account = providers.Singleton(
        retried,
        providers.Singleton(
            DeleteAccount,
            uow=Infrastructure.storage.provided.identity_units,
            credentials=Infrastructure.storage.provided.credentials,
            hasher=Infrastructure.hasher,
            clock=Infrastructure.clock,
        ),
    )
    export_sources = providers.List(
        providers.Singleton(AccountExport, Infrastructure.storage.provided.accounts),
        providers.Singleton(SecondFactorExport, Infrastructure.storage.provided.identity_units),
        providers.Singleton(SessionsExport, Infrastructure.storage.provided.sessions),
        providers.Singleton(ApiKeysExport, Infrastructure.storage.provided.api_keys),
        providers.Singleton(PostsExport, Infrastructure.storage.provided.posts),
        providers.Singleton(VotesExport, Infrastructure.storage.provided.votes),
        providers.Singleton(OrdersExport, Infrastructure.storage.provided.orders),
        providers.Singleton(AuditExport, Infrastructure.storage.provided.audit),
    )
    export_data = providers.Singleton(
        retried,
        providers.Singleton(
            ExportData,
            uow=Infrastructure.storage.provided.identity_units,
            accounts=Infrastructure.storage.provided.accounts,
            sources=export_sources,
            clock=Infrastructure.clock,
        ),
    )

    # Administration
    list_users = providers.Singleton(
        ListUsers, users=Infrastructure.storage.provided.users, cursors=Infrastructure.cursors
    )
    get_user = providers.Singleton(GetUser, users=Infrastructure.storage.provided.users)
    create_user = providers.Singleton(
        retried,
        providers.Singleton(
            CreateUser,
            uow=Infrastructure.storage.provided.identity_units,
            hasher=Infrastructure.hasher,
            common_passwords=Infrastructure.common_passwords,
            ids=Infrastructure.ids,
            clock=Infrastructure.clock,
        ),
    )
    replace_user = providers.Singleton(
        retried,
        providers.Singleton(
            ReplaceUser, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock
        ),
    )
    delete_user = providers.Singleton(
        retried,
        providers.Singleton(DeleteUser, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock),
    )
    suspend_user = providers.Singleton(
        retried,
        providers.Singleton(
            SuspendUser, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock
        ),
    )
    reinstate_user = providers.Singleton(
        retried,
        providers.Singleton(
            ReinstateUser, uow=Infrastructure.storage.provided.identity_units, clock=Infrastructure.clock
        ),
    )
    list_audit = providers.Singleton(
        ListAudit, audit=Infrastructure.storage.provided.audit, cursors=Infrastructure.cursors
    )
