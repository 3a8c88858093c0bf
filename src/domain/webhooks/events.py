"""What happened to webhooks: for the audit trail, and for nobody outside."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.shared.events import AuditedEvent
from domain.shared.ids import WebhookId


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent(AuditedEvent):
    webhook_id: WebhookId

    def audit_details(self) -> Mapping[str, str]:
        return {"webhook_id": str(self.webhook_id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRegistered(WebhookEvent):
    name = "webhook.registered"
    url: str

    def audit_details(self) -> Mapping[str, str]:
        return {"webhook_id": str(self.webhook_id), "url": self.url}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEdited(WebhookEvent):
    name = "webhook.edited"
    url: str

    def audit_details(self) -> Mapping[str, str]:
        return {"webhook_id": str(self.webhook_id), "url": self.url}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDisabledByRule(WebhookEvent):
    """Nobody disabled it: its receiver said that it is gone, or failed for days."""

    name = "webhook.disabled"
    reason: str

    def audit_details(self) -> Mapping[str, str]:
        return {"webhook_id": str(self.webhook_id), "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSecretRotated(WebhookEvent):
    name = "webhook.secret_rotated"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDeleted(WebhookEvent):
    name = "webhook.deleted"
