"""The schema's history, for Alembic: one line of revisions that runs on MySQL, MariaDB, PostgreSQL and SQLite.

`adapters.sql.schema.migrate` runs it. A new revision is drafted with `alembic revision --autogenerate -m "…"` against a
database that is up to date, then read, and made to run on all four. Revisions spell their types out instead of
importing them from the models: what a revision did must not change with the models.
"""
