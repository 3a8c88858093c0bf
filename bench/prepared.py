"""Databases that were filled once and are copied for each run: filling seven of a million posts takes minutes.

What is kept is told apart by a fingerprint of everything that decides over its content, so a new migration or another
seed makes a new one and drops the old. Only `--keep` keeps anything: SQLite files in `bench/.kept`, databases of
servers as `postern_bench_kept_…`; `--drop-kept` removes them all.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from bench.servers import DATABASES, create_database, drop_database, execute, names_of_databases, server_url

_PREFIX: Final = "postern_bench_kept"
_TABLES: Final = ("users", "posts", "votes", "post_words")
_MARK: Final = "bench_is_complete"

Fill = Callable[[str], None]
"""Gets a file's path or a database's URL."""


def fingerprint(*parts: object, files: Iterable[Path]) -> str:
    """Return eight characters that change with any of these."""
    digest = hashlib.sha256(repr(parts).encode())
    for file in sorted(files):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:8]


class Prepared:
    """Where filled databases come from; without a folder, from nowhere: each is filled anew."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def sqlite(self, family: str, mark: str, target: Path, fill: Fill) -> None:
        """Put a filled file at `target`."""
        if self._folder is None:
            fill(str(target))
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._folder / f"{family}-{mark}.db"
        if not kept.exists():
            for old in self._folder.glob(f"{family}-{mark.rpartition('-')[0]}-*"):
                old.unlink()
            begun = kept.with_suffix(".part")
            _remove(begun)
            fill(str(begun))
            begun.replace(kept)
            _remove(begun)
        shutil.copyfile(kept, target)

    def server(self, kind: str, family: str, mark: str, name: str, *, schema: Fill, fill: Fill) -> str:
        """Make the database `name`, filled, and return its URL. Raises `Unavailable`.

        `schema` makes tables in an empty database, `fill` puts rows into them.
        """
        if self._folder is None:
            url = create_database(kind, name)
            schema(url)
            fill(url)
            return url
        kept = f"{_PREFIX}_{family}_{mark}".replace("-", "_")
        if not self._is_complete(kind, kept):
            beginning = kept.rpartition("_")[0] + "_"
            for old in names_of_databases(kind, beginning):
                drop_database(kind, old)
            url = create_database(kind, kept)
            schema(url)
            fill(url)
            execute(kind, [f"CREATE TABLE {_MARK} (done INTEGER)"], database=kept)
        return self._copy(kind, kept, name, schema)

    @staticmethod
    def _is_complete(kind: str, kept: str) -> bool:
        if kept not in names_of_databases(kind, kept):
            return False
        wanted = f"SELECT count(*) FROM information_schema.tables WHERE table_name = '{_MARK}'"
        # MariaDB shows the tables of all databases.
        wanted += f" AND table_schema = '{kept}'" if kind == "mariadb" else ""
        return execute(kind, [wanted], database=kept) == ["1"]

    @staticmethod
    def _copy(kind: str, kept: str, name: str, schema: Fill) -> str:
        drop_database(kind, name)
        if kind == "postgresql":
            execute(kind, [f"CREATE DATABASE {name} TEMPLATE {kept} STRATEGY FILE_COPY"])
            execute(kind, [f"DROP TABLE {_MARK}"], database=name)
            return server_url(kind, name)
        # Not CREATE TABLE … LIKE, which leaves foreign keys out.
        url = create_database(kind, name)
        schema(url)
        columns_of = (
            "SELECT group_concat(concat(table_name, '.', column_name) ORDER BY ordinal_position SEPARATOR ' ') "
            f"FROM information_schema.columns WHERE table_schema = '{kept}' AND extra NOT LIKE '%GENERATED%' "
            f"AND table_name IN ({', '.join(map(repr, _TABLES))}) GROUP BY table_name"
        )
        columns = execute(kind, ["SET SESSION group_concat_max_len = 65536", columns_of], database=name, every=True)
        copies, analysed = [], []
        for line in columns:
            pairs = [pair.split(".") for pair in line.split()]
            table, names = pairs[0][0], ", ".join(f"`{column}`" for _, column in pairs)
            copies.append(f"INSERT INTO {name}.{table} ({names}) SELECT {names} FROM {kept}.{table}")
            analysed.append(f"ANALYZE TABLE {name}.{table}")
        settings = "SET SESSION foreign_key_checks = 0, unique_checks = 0"
        execute(kind, [settings, *copies, *analysed], database=name)
        return url


def drop_kept(folder: Path) -> None:
    """Remove everything that was ever kept."""
    shutil.rmtree(folder, ignore_errors=True)
    for kind in DATABASES:
        for name in names_of_databases(kind, f"{_PREFIX}_"):
            drop_database(kind, name)


def _remove(file: Path) -> None:
    for each in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        each.unlink(missing_ok=True)
