"""Which revisions there are, and which one a SQLite file has: all by the standard library.

A server looks before it starts, and importing SQLAlchemy only to find that all is well would take longer than looking.
"""

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

TABLE = "alembic_version"


def revisions() -> list[str]:
    """Return the revisions of this version of the program, the oldest first.

    They are one chain, and each file's name begins with its revision; Alembic would import them all to know.
    """
    names = (entry.name for entry in resources.files("migrations").joinpath("versions").iterdir())
    return sorted(name.partition("_")[0] for name in names if name.endswith(".py") and not name.startswith("_"))


def has_newest_revision(file: Path) -> bool:
    """Tell whether a SQLite file has the newest revision. False also when it cannot be read, for whatever reason."""
    try:
        # `rw`: it is not made when there is none, and whoever closes it last clears its log away.
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            rows = connection.execute(f"SELECT version_num FROM {TABLE}").fetchall()  # noqa: S608 - ours
    except sqlite3.Error:
        return False
    return rows == [(revisions()[-1],)]
