// The product's tables as PocketBase has them: its own users, posts with an author, votes.
// Signed-in callers read everything; one writes in one's own name alone.

migrate(
  (app) => {
    const users = app.findCollectionByNameOrId("users");
    users.fields.add(new TextField({ name: "username", required: true, min: 3, max: 32 }));
    users.indexes = [...users.indexes, "CREATE UNIQUE INDEX idx_users_username ON users (username)"];
    users.listRule = "@request.auth.id != ''";
    users.viewRule = "@request.auth.id != ''";
    users.authRule = "";
    // Not sent from a benchmark.
    users.authAlert.enabled = false;
    app.save(users);

    const posts = new Collection({
      type: "base",
      name: "posts",
      listRule: "@request.auth.id != ''",
      viewRule: "@request.auth.id != ''",
      createRule: "@request.auth.id != '' && author = @request.auth.id",
      updateRule: "author = @request.auth.id",
      deleteRule: "author = @request.auth.id",
      fields: [
        { name: "author", type: "relation", required: true, collectionId: users.id, maxSelect: 1, cascadeDelete: true },
        { name: "text", type: "text", required: true, max: 1048576 },
        { name: "score", type: "number", onlyInt: true },
        { name: "upvotes", type: "number", onlyInt: true },
        { name: "downvotes", type: "number", onlyInt: true },
        { name: "hot", type: "number", onlyInt: true },
        { name: "created", type: "autodate", onCreate: true },
        { name: "updated", type: "autodate", onCreate: true, onUpdate: true },
      ],
      indexes: [
        "CREATE INDEX idx_posts_author_created ON posts (author, created)",
        "CREATE INDEX idx_posts_created ON posts (created)",
        "CREATE INDEX idx_posts_score ON posts (score)",
        "CREATE INDEX idx_posts_hot ON posts (hot)",
      ],
    });
    app.save(posts);

    const votes = new Collection({
      type: "base",
      name: "votes",
      listRule: "user = @request.auth.id",
      viewRule: "user = @request.auth.id",
      createRule: "@request.auth.id != '' && user = @request.auth.id",
      updateRule: "user = @request.auth.id",
      deleteRule: "user = @request.auth.id",
      fields: [
        { name: "user", type: "relation", required: true, collectionId: users.id, maxSelect: 1, cascadeDelete: true },
        { name: "post", type: "relation", required: true, collectionId: posts.id, maxSelect: 1, cascadeDelete: true },
        { name: "direction", type: "number", required: true, onlyInt: true, min: -1, max: 1 },
        { name: "created", type: "autodate", onCreate: true },
        { name: "updated", type: "autodate", onCreate: true, onUpdate: true },
      ],
      indexes: ["CREATE UNIQUE INDEX idx_votes_user_post ON votes (user, post)"],
    });
    app.save(votes);

    // Argon2 in the product and bcrypt here are both what each does without being asked.
    const settings = app.settings();
    settings.meta.appName = "Baseline";
    settings.rateLimits.enabled = false;
    app.save(settings);
  },
  (app) => {
    for (const name of ["votes", "posts"]) {
      app.delete(app.findCollectionByNameOrId(name));
    }
  },
);
