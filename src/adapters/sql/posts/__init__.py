"""Posts in a database: the repository and the reader, votes, search, revisions."""
