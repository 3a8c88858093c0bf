"""Votes in a database. `entrypoints.storage` chooses the repository: `locking` for SQLite, `optimistic` for servers."""
