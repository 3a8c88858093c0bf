"""The use cases of posts, over their ports."""

from application.posts.cast_vote import CastVote
from application.posts.delete_post import DeletePost
from application.posts.edit_post import EditPost
from application.posts.get_post import GetPost
from application.posts.list_author_posts import ListAuthorPosts
from application.posts.list_my_posts import ListMyPosts
from application.posts.list_replies import ListReplies
from application.posts.ports import AuthorDirectory, CounterAudit, MyPostsReader, PostReader, PostsUnits
from application.posts.publish_post import PublishPost
from application.posts.read_feed import ExactFeed, PublicFeed, ReadFeed
from application.posts.recount import Recount
from application.posts.search import PostSearch
from application.posts.search_posts import SearchPosts
from application.shared.clock import Clock
from application.shared.ids import IdGenerator
from application.shared.paging import CursorCodec
from application.shared.threads import Threads
from application.shared.writing import Writing


class PostsUseCases:
    def __init__(
        self,
        *,
        uow: PostsUnits,
        reader: PostReader,
        authors: AuthorDirectory,
        my_posts: MyPostsReader,
        exact_feed: ExactFeed,
        public_feed: PublicFeed,
        search: PostSearch,
        counters: CounterAudit,
        ids: IdGenerator,
        clock: Clock,
        cursors: CursorCodec,
        threads: Threads,
        writing: Writing,
    ) -> None:
        self.publish_post = writing(PublishPost(uow=uow, authors=authors, ids=ids, clock=clock))
        self.edit_post = writing(EditPost(uow=uow, reader=reader, clock=clock))
        self.delete_post = writing(DeletePost(uow=uow, clock=clock))
        self.cast_vote = writing(CastVote(uow=uow, clock=clock))
        self.get_post = GetPost(reader=reader)
        self.read_feed = ReadFeed(exact=exact_feed, public=public_feed)
        self.search_posts = SearchPosts(search=search, cursors=cursors, threads=threads)
        self.list_replies = ListReplies(reader=reader, cursors=cursors)
        self.list_author_posts = ListAuthorPosts(reader=reader, authors=authors, cursors=cursors)
        self.list_my_posts = ListMyPosts(my_posts=my_posts)
        self.recount = Recount(audit=counters)
