"""What can go wrong with orders, by name."""

from domain.shared.errors import Conflict, Forbidden, NotFound, Stale, Unauthenticated


class OrderNotFound(NotFound):
    slug = "order-not-found"
    title = "No such order"


class NotYourOrder(Forbidden):
    """Only for who may see the order and still may not do this: to all others it does not exist."""

    slug = "not-your-order"
    title = "Only whose order it is may do this to it"


class OrderChanged(Stale):
    slug = "order-changed"
    title = "The order has changed since you read it"


class CustomerGone(Unauthenticated):
    """The account that orders was deleted a moment ago; the token that still speaks for it is as good as invalid."""

    slug = "customer-gone"
    title = "The account that orders no longer exists"


class IllegalMove(Conflict):
    """A status that does not follow on the present one; each kind has its own name below."""

    slug = "illegal-order-move"
    title = "The order cannot take this status now"


class OrderUnmoved(IllegalMove):
    slug = "order-unmoved"
    title = "The order has this status already"


class OrderStepSkipped(IllegalMove):
    slug = "order-step-skipped"
    title = "The order has not come far enough for this status"


class OrderStepBack(IllegalMove):
    slug = "order-step-back"
    title = "An order does not go back to an earlier status"


class OrderAlreadyShipped(IllegalMove):
    slug = "order-already-shipped"
    title = "What has been shipped can no longer be cancelled"


class OrderClosed(IllegalMove):
    slug = "order-closed"
    title = "A delivered or cancelled order stays as it is"


class NowhereToShip(IllegalMove):
    slug = "nowhere-to-ship"
    title = "The order has no address any more, since its account was deleted"
