"""What can go wrong with webhooks, by name."""

from domain.shared.errors import Conflict, FieldError, Invalid, NotFound, Stale


class WebhookNotFound(NotFound):
    slug = "webhook-not-found"
    title = "No such webhook"


class DeliveryNotFound(NotFound):
    slug = "delivery-not-found"
    title = "No such delivery"


class WebhookChanged(Stale):
    slug = "webhook-changed"
    title = "The webhook has changed since you read it"


class TooManyWebhooks(Conflict):
    slug = "too-many-webhooks"
    title = "There are as many webhooks as there may be"


class WebhookDisabled(Conflict):
    slug = "webhook-disabled"
    title = "The webhook is disabled, and is sent nothing"


class TargetRefused(Invalid):
    """The URL leads where no delivery may go."""

    slug = "webhook-target-refused"
    title = "The URL leads to an address that webhooks are not sent to"

    def __init__(self, code: str = "target", message: str = "leads where webhooks are not sent to") -> None:
        super().__init__([FieldError("url", code, message)])
        self.code = code
