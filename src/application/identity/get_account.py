"""Reading one's own account."""

from dataclasses import dataclass

from application.identity.ports import AccountReader
from application.identity.views import AccountView
from application.shared.views import Versioned
from domain.identity.errors import InvalidToken
from domain.shared.actor import Actor


@dataclass(frozen=True, slots=True)
class GetAccountQuery:
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class GetAccount:
    """Read the caller's own account."""

    accounts: AccountReader

    async def execute(self, query: GetAccountQuery) -> Versioned[AccountView]:
        account = await self.accounts.account(query.actor.user_id)
        if account is None:
            raise InvalidToken  # It speaks for an account that is gone.
        return account
