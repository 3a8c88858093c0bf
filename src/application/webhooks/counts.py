"""What a process has sent to webhooks so far, in numbers."""

from collections import Counter

from domain.webhooks.delivery import DeliveryStatus, Outcome


class DeliveryCounts:
    """Counts since the process began. The keys are closed sets: nothing in them is of a receiver's choosing."""

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        """By result: the class of the answer's status (`2xx` to `5xx`), or the word of `Outcome.error`."""
        self.ended: Counter[DeliveryStatus] = Counter()
        """Deliveries that came to an end, by which: `delivered` or `failed`, after the last attempt."""

    def attempted(self, outcome: Outcome) -> None:
        self.attempts[_result(outcome)] += 1

    def noted(self, status: DeliveryStatus) -> None:
        if status is not DeliveryStatus.PENDING:
            self.ended[status] += 1


def _result(outcome: Outcome) -> str:
    code = outcome.status_code
    if code is None:
        return outcome.error or "unknown"
    # A receiver may make up a status; there are five classes (RFC 9110, section 15).
    return f"{code // 100}xx" if 100 <= code < 600 else "other"
