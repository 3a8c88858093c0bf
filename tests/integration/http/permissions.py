"""Who may call what: one row a route. A new route gets a row here, or the matrix fails.

Each row says what six callers get for a well-formed request about something of the owner's. `PUBLIC` routes don't look
at who is calling.
"""

from typing import Final, NamedTuple


class Row(NamedTuple):
    """The status for each caller. `suspended` was signed in when the account was suspended."""

    anonymous: int
    other: int
    owner: int
    moderator: int
    admin: int
    suspended: int


def public(status: int = 200) -> Row:
    """Return a row for a route that does not ask who is calling."""
    return Row(status, status, status, status, status, status)


def signed_in(status: int = 200) -> Row:
    """Return a row for a route that everybody who is signed in may use, on what is their own."""
    return Row(401, status, status, status, status, 401)


def readable(status: int = 200) -> Row:
    """Return a row for a route that everybody may use, but not with a token that no longer holds."""
    return Row(status, status, status, status, status, 401)


def only_admins(status: int) -> Row:
    return Row(401, 403, 403, 403, status, 401)


ROWS: Final[dict[str, Row]] = {
    # auth
    "signUp": public(201),
    "logIn": public(),
    "refreshSession": public(),
    "logOut": signed_in(204),
    "logOutEverywhere": signed_in(204),
    "listMySessions": signed_in(),
    "revokeMySession": Row(401, 404, 204, 404, 404, 401),
    "requestPasswordReset": public(202),
    "resetPassword": public(400),  # the token is a made-up one
    "verifyEmail": public(400),  # the token is a made-up one
    "resendVerification": signed_in(202),
    "getTotp": signed_in(),
    "enrolTotp": signed_in(),
    "confirmTotp": signed_in(404),  # nothing was enrolled
    "disableTotp": signed_in(404),  # there is nothing to disable
    "listApiKeys": signed_in(),
    "createApiKey": signed_in(201),
    "revokeApiKey": Row(401, 404, 204, 404, 404, 401),
    # users
    "getMyAccount": signed_in(),
    "editMyAccount": signed_in(),
    "changeMyPassword": signed_in(204),
    # The last active administrator stays.
    "deleteMyAccount": Row(401, 204, 204, 204, 409, 401),
    "exportMyData": signed_in(),
    "listUsers": signed_in(),
    "getUser": signed_in(),
    "createUser": only_admins(201),
    "replaceUser": only_admins(200),
    "deleteUser": only_admins(204),
    # The owner is a user, whom a moderator may suspend.
    "suspendUser": Row(401, 403, 403, 204, 204, 401),
    "reinstateUser": Row(401, 403, 403, 204, 204, 401),
    "listAudit": only_admins(200),
    # posts
    "publishPost": signed_in(201),
    "listPosts": readable(),
    "getPost": readable(),
    "editPost": Row(401, 403, 200, 403, 403, 401),
    "deletePost": Row(401, 403, 204, 204, 204, 401),
    "voteOnPost": signed_in(),
    "listReplies": readable(),
    "listMyPosts": signed_in(),
    "listPostsOfUser": readable(),
    # orders
    "placeOrder": signed_in(201),
    "listOrders": signed_in(),
    "getOrder": Row(401, 404, 200, 404, 200, 401),
    # An administrator sees the order, and cancels it by its status instead.
    "cancelOrder": Row(401, 404, 200, 404, 403, 401),
    "moveOrder": only_admins(200),
    # events
    "listenToEvents": readable(),
    "listEventSchemas": public(),
    "getEventSchema": public(),
    # webhooks
    "registerWebhook": only_admins(201),
    "listWebhooks": only_admins(200),
    "getWebhook": only_admins(200),
    "editWebhook": only_admins(200),
    "deleteWebhook": only_admins(204),
    "rotateWebhookSecret": only_admins(200),
    "testWebhook": only_admins(202),
    "listDeliveries": only_admins(200),
    "getDelivery": only_admins(200),
    "replayDelivery": only_admins(202),
    "replayFailedDeliveries": only_admins(202),
    # system
    "getJsonWebKeySet": public(404),  # tokens are signed with HS256 in tests
    "getIndex": public(),
    "getHealth": public(),
    "getMetrics": public(),  # from this machine, which tests are
    "getLiveness": public(),
    "getReadiness": public(),
    "getDatabaseHealth": public(),
    "getBrokerHealth": public(404),  # none is configured in tests
    "getCacheHealth": public(404),  # none is configured in tests
    "getOpenApiDocument": public(),
    "listProblems": public(),
    "getProblem": public(),
}
