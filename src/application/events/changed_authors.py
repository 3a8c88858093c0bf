"""Which event changes what somebody's list of own posts shows: by it, every cache of such lists is kept honest."""

from domain.identity.events import ProfileChanged
from domain.posts.events import PostEvent, VoteCast
from domain.shared.events import DomainEvent
from domain.shared.ids import UserId


def changed_author(event: DomainEvent) -> UserId | None:
    """Return whose list of own posts looks different after `event`; None: nobody's.

    A post shows its author's name, and their own vote on it. What others vote may take as long to show as the list is
    cached: only one's own writes are promised to be seen at once.
    """
    match event:
        case PostEvent():
            return event.author_id
        case VoteCast() if event.is_own:
            return event.author_id
        case ProfileChanged():
            return event.user_id
        case _:
            return None
