"""Limits that depend on which account a request is about: guessing a password, and filling a mailbox.

They are counted the same for accounts that exist and for those that do not, before anything is looked up, so that
neither the answer nor its time tells which it is.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from application.identity.log_in import LogInCommand
from application.identity.request_password_reset import RequestPasswordResetCommand
from application.identity.views import TokenPairView
from application.shared.background import Background
from application.shared.errors import Overloaded
from application.shared.origin import OriginReader
from application.shared.rate_limit import Charge, Limit, LimitState, RateLimited, RateLimiter, client_network
from application.shared.use_case import UseCase
from domain.identity.errors import InvalidCode, InvalidCredentials
from domain.identity.policies import SESSION_LIFETIME

Pseudonym = Callable[[str], str]
"""Makes of an account's e-mail key what may stand in a shared counter: always the same, and nobody can undo it."""


_KNOWN: Final = Limit("log-in-known", 1_000_000_000, int(SESSION_LIFETIME.total_seconds()))
"""Not a limit: how long an address is known to an account that logged in from it, as long as the session is open."""


class RateLimitedLogIn:
    """Refuse log-ins after too many failures, without locking anybody out.

    Failures count for the account together with the address, so that a stranger uses up his own chances and not the
    owner's; and for the address alone, against trying one password on many accounts. That one account is tried from
    many addresses is limited too (NIST SP 800-63B-4, section 3.2.2); then only addresses from which it was logged in
    to lately are let through, which those of its owner mostly are.

    What is under way counts as failed until it is known better: otherwise a thousand guesses at once would all pass
    before the first was counted. A client that goes away meanwhile has used up its chance.
    """

    def __init__(
        self,
        inner: UseCase[LogInCommand, TokenPairView],
        *,
        limiter: RateLimiter,
        here: Limit,
        address: Limit,
        account: Limit,
        origins: OriginReader,
        pseudonym: Pseudonym,
        background: Background,
    ) -> None:
        """`here` counts failures at one account from one address; `address` and `account`, those of either alone."""
        self._inner = inner
        self._limiter = limiter
        self._here = here
        self._address = address
        self._account = account
        self._origins = origins
        self._pseudonym = pseudonym
        self._background = background

    async def execute(self, command: LogInCommand, /) -> TokenPairView:
        place, account = client_network(self._origins.current().address), self._pseudonym(command.email_key)
        here = f"{account}:{place}"
        charges = [Charge(self._here, here), Charge(self._address, place), Charge(self._account, account)]
        at_here, at_address, at_account, acquaintance = await self._limiter.take([*charges, Charge(_KNOWN, here, 0)])
        is_known = acquaintance.remaining < _KNOWN.amount
        if at_here.is_exceeded or at_address.is_exceeded:
            # It will not be tried, so it is not held against the account: or one address could use up everybody's.
            self._later([Charge(self._account, account, -1)])
            raise RateLimited([at_here, at_address])
        if at_account.is_exceeded and not is_known:
            raise RateLimited([at_account])
        try:
            pair = await self._inner.execute(command)
        except (InvalidCredentials, InvalidCode):
            raise
        except Exception:
            # The password was right, or nobody has looked at it.
            self._later([charge._replace(cost=-1) for charge in charges])
            raise
        self._later([*(charge._replace(cost=-1) for charge in charges), Charge(_KNOWN, here)])
        return pair

    def _later(self, charges: Sequence[Charge]) -> None:
        """Correct the counts when the answer is out: nobody has to wait for that."""
        with suppress(Overloaded):  # Then they count until their window ends.
            self._background.submit(lambda: self._limiter.take(charges))


class RateLimitedPasswordReset:
    """Refuse to mail one account too often, or for one address, whether or not there is such an account."""

    def __init__(
        self,
        inner: UseCase[RequestPasswordResetCommand, None],
        *,
        limiter: RateLimiter,
        account: Limit,
        address: Limit,
        origins: OriginReader,
        pseudonym: Pseudonym,
    ) -> None:
        self._inner = inner
        self._limiter = limiter
        self._account = account
        self._address = address
        self._origins = origins
        self._pseudonym = pseudonym

    async def execute(self, command: RequestPasswordResetCommand, /) -> None:
        standings: list[LimitState] = await self._limiter.take(
            [
                Charge(self._account, self._pseudonym(command.email_key)),
                Charge(self._address, client_network(self._origins.current().address)),
            ]
        )
        if any(standing.is_exceeded for standing in standings):
            raise RateLimited(standings)
        await self._inner.execute(command)
