"""What can go wrong with accounts and sessions, by name."""

from domain.shared.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Stale, Unauthenticated


class EmailTaken(Conflict):
    slug = "email-taken"
    title = "Email already registered"

    def __init__(self) -> None:
        super().__init__(
            "An account with this e-mail address exists.", [FieldError("email", "taken", "is already registered")]
        )


class UsernameTaken(Conflict):
    slug = "username-taken"
    title = "Username already taken"

    def __init__(self) -> None:
        super().__init__("Somebody else has this username.", [FieldError("username", "taken", "is already taken")])


class InvalidCredentials(Unauthenticated):
    """Unknown e-mail, wrong password or suspended account: deliberately one and the same."""

    slug = "invalid-credentials"
    title = "Email or password is wrong"


class InvalidToken(Unauthenticated):
    slug = "invalid-token"
    title = "The token is invalid or has expired"


class TokenReused(Unauthenticated):
    slug = "token-reused"
    title = "The refresh token was already used; the session has been closed"


class WrongPassword(Forbidden):
    """The caller is signed in, but the current password they gave to confirm a change is not theirs."""

    slug = "wrong-password"
    title = "The current password is wrong"


class UserNotFound(NotFound):
    slug = "user-not-found"
    title = "No such user"


class SessionNotFound(NotFound):
    slug = "session-not-found"
    title = "No such session"


class OutOfReach(Forbidden):
    """A moderator acts on users; moderators and administrators are for administrators to act on."""

    slug = "out-of-reach"
    title = "Only an administrator may do this to this account"


class OwnAccount(Conflict):
    """What is meant for other people's accounts was aimed at one's own, most likely by mistake."""

    slug = "own-account"
    title = "This is your own account"


class LastAdmin(Conflict):
    """Without it nobody could administer any more, and nobody could change that over the network."""

    slug = "last-admin"
    title = "This is the last active administrator"


class AccountChanged(Stale):
    slug = "account-changed"
    title = "The account has changed since you read it"


class InvalidOneTimeToken(Invalid):
    """Unknown, spent, replaced, expired or meant for something else: deliberately one and the same."""

    slug = "invalid-one-time-token"
    title = "The token of the mail is not valid, or no longer"

    def __init__(self) -> None:
        super().__init__([FieldError("token", "invalid", "is unknown, spent or expired; ask for a new mail")])


class SecondFactorRequired(Unauthenticated):
    slug = "second-factor-required"
    title = "A code of the second factor is needed too"


class InvalidCode(Unauthenticated):
    """The password is right and the code is not: wrong, used before, or one of too many."""

    slug = "invalid-code"
    title = "The code is wrong or was used before"


class WrongCode(Forbidden):
    """The caller is signed in, but the code they gave to confirm a change is not right."""

    slug = "wrong-code"
    title = "The code is wrong or was used before"


class TotpAlreadyEnabled(Conflict):
    slug = "totp-enabled"
    title = "The second factor is enabled already"


class TotpNotEnabled(NotFound):
    slug = "totp-not-enabled"
    title = "There is no second factor to speak of"


class ApiKeyNotFound(NotFound):
    slug = "api-key-not-found"
    title = "No such API key"


class TooManyApiKeys(Conflict):
    slug = "too-many-api-keys"
    title = "There are as many API keys as an account may have"
