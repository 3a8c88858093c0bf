"""A SQLite file: how its reads and units of work run, and how they share commits."""
