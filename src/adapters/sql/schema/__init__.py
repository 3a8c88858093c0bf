"""The schema of a database: which revision it has, and bringing it to another."""
