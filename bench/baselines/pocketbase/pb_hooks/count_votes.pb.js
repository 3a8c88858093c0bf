// What makes a vote count: the post's counters and its rank move in the transaction that stores the vote, as the
// product's do. PocketBase runs this in its own JavaScript engine; one statement, where loading and saving the post's
// record would also validate it, and cost more.

onRecordCreate((e) => {
  const outside = e.app;
  outside.runInTransaction((inside) => {
    e.app = inside;
    e.next();
    const direction = e.record.getInt("direction");
    inside
      .db()
      .newQuery(
        `UPDATE posts SET
           score = score + {:direction},
           upvotes = upvotes + max({:direction}, 0),
           downvotes = downvotes - min({:direction}, 0),
           hot = cast(round(unixepoch(created, 'subsec') * 1000) AS INTEGER)
             + iif(score + {:direction} < 0, -1, 1)
             * cast(round(45000000 * log10(max(abs(score + {:direction}), 1))) AS INTEGER)
         WHERE id = {:post}`,
      )
      .bind({ direction: direction, post: e.record.getString("post") })
      .execute();
  });
  e.app = outside;
}, "votes");
