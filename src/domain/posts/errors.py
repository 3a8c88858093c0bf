"""What can go wrong with posts, by name."""

from domain.shared.errors import Forbidden, NotFound, Stale, Unauthenticated


class PostNotFound(NotFound):
    slug = "post-not-found"
    title = "No such post"


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
