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


class GetAccount:
    """Read the caller's own account."""

    def __init__(self, *, accounts: AccountReader) -> None:
        self._accounts = accounts

    async def execute(self, query: GetAccountQuery) -> Versioned[AccountView]:
        account = await self._accounts.account(query.actor.user_id)
        if account is None:
            raise InvalidToken  # It speaks for an account that is gone.
        return account
