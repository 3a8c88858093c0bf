"""Failures that are nobody's mistake: of the machine, not of the rules."""

from domain.shared.errors import PosternError


class Unavailable(PosternError):
    """Family: something we need does not answer, or not in time. Trying again later is right."""

    slug = "unavailable"
    title = "Temporarily unavailable"

    retry_after_seconds: int = 1


class StorageUnavailable(Unavailable):
    """The database cannot be reached, or gave the connection up."""

    slug = "storage-unavailable"
    title = "The database does not answer"


class OutcomeUnknown(StorageUnavailable):
    """The commit was sent, and no answer came: it may have happened, and it may not."""

    slug = "outcome-unknown"
    title = "It is not known whether this was done"


class DeadlineExceeded(Unavailable):
    """The request was not answered within its time, and was given up before anything was committed."""

    slug = "deadline-exceeded"
    title = "It took too long"


class Overloaded(Unavailable):
    """A bounded queue is full: answering at once beats making everybody wait."""

    slug = "overloaded"
    title = "Too much to do right now"


class TransientFailure(Unavailable):
    """The unit of work lost a race (deadlock, lock time-out, version conflict) and would likely pass if run again.

    The retry policy reruns the whole use case; a caller sees this only when it gave up.
    """

    slug = "contention"
    title = "Too many changes to the same thing at once"


class VersionConflict(TransientFailure):
    """The stored version is not the one that was loaded."""
