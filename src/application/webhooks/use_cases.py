"""The use cases of webhooks, over their ports."""

from collections.abc import Callable

from application.shared.clock import Clock
from application.shared.event_log import EventLog, LoggedEvent
from application.shared.ids import IdGenerator
from application.shared.paging import CursorCodec
from application.shared.writing import Writing
from application.webhooks.delete_webhook import DeleteWebhook
from application.webhooks.edit_webhook import EditWebhook
from application.webhooks.get_delivery import GetDelivery
from application.webhooks.get_webhook import GetWebhook
from application.webhooks.list_deliveries import ListDeliveries
from application.webhooks.list_webhooks import ListWebhooks
from application.webhooks.ports import TargetGuard, WebhookReader, WebhookSecrets, WebhooksUnits
from application.webhooks.register_webhook import RegisterWebhook
from application.webhooks.replay_delivery import ReplayDelivery
from application.webhooks.replay_failed import ReplayFailed
from application.webhooks.rotate_secret import RotateSecret
from application.webhooks.send_test_event import SendTestEvent


class WebhooksUseCases:
    def __init__(
        self,
        *,
        uow: WebhooksUnits,
        reader: WebhookReader,
        guard: TargetGuard,
        secrets: WebhookSecrets,
        events: EventLog,
        envelope: Callable[[LoggedEvent], bytes],
        ids: IdGenerator,
        clock: Clock,
        cursors: CursorCodec,
        writing: Writing,
    ) -> None:
        self.register_webhook = writing(
            RegisterWebhook(uow=uow, guard=guard, secrets=secrets, events=events, ids=ids, clock=clock)
        )
        self.list_webhooks = ListWebhooks(reader=reader, cursors=cursors)
        self.get_webhook = GetWebhook(reader=reader)
        self.edit_webhook = writing(EditWebhook(uow=uow, guard=guard, events=events, clock=clock))
        self.delete_webhook = writing(DeleteWebhook(uow=uow, clock=clock))
        self.rotate_secret = writing(RotateSecret(uow=uow, secrets=secrets, clock=clock))
        self.send_test_event = writing(SendTestEvent(uow=uow, envelope=envelope, ids=ids, clock=clock))
        self.list_deliveries = ListDeliveries(reader=reader, cursors=cursors)
        self.get_delivery = GetDelivery(reader=reader)
        self.replay_delivery = writing(ReplayDelivery(uow=uow, clock=clock))
        self.replay_failed = writing(ReplayFailed(uow=uow, clock=clock))
