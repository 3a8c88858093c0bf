"""The engine for speed: statements compiled once, drivers without SQLAlchemy in between, shared commits."""
