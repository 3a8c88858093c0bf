"""The deadline of the request that this task works for."""

import math
import time

from adapters.shared.request import current
from application.shared.deadline import Deadline


class ContextDeadline(Deadline):
    def seconds_left(self) -> float:
        request = current.get()
        if request is None or not request.due:
            return math.inf
        return request.due - time.perf_counter()
