"""What can go wrong with posts, by name."""

from domain.shared.errors import Conflict, FieldError, Forbidden, NotFound, Stale, Unauthenticated


class PostNotFound(NotFound):
    slug = "post-not-found"
    title = "No such post"


class ReplyTargetGone(Conflict):
    """The post to be answered is not there, or was deleted a moment ago."""

    slug = "reply-target-gone"
    title = "The post to be answered does not exist"

    def __init__(self) -> None:
        super().__init__(errors=[FieldError("reply_to", "gone", "names no post that can be answered")])


class NotYourPost(Forbidden):
    slug = "not-your-post"
    title = "Only its author may do this to a post"


class PostChanged(Stale):
    slug = "post-changed"
    title = "The post has changed since you read it"


class AuthorGone(Unauthenticated):
    """The account that writes was deleted a moment ago; the token that still speaks for it is as good as invalid."""

    slug = "account-gone"
    title = "The account no longer exists"


class AuthorNotFound(NotFound):
    slug = "author-not-found"
    title = "No such author"
