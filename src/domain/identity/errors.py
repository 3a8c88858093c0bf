"""What can go wrong with accounts and sessions, by name."""

from domain.shared.errors import Conflict, FieldError, Forbidden, NotFound, Stale, Unauthenticated


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


class AccountChanged(Stale):
    slug = "account-changed"
    title = "The account has changed since you read it"
