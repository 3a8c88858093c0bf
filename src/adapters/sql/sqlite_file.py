"""Whether the file at a path is still the one that was opened.

What is removed or replaced underneath goes on to exist for those who have it open, and for nobody else: commits into it
succeed, and are lost. So each commit looks, and is only acknowledged while the path still leads to the file.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class FileId(NamedTuple):
    """What tells one file from every other that is there at the same time."""

    device: int
    inode: int


class FileGone(OSError):
    """The file was removed, or another one is in its place."""


class FileGuard:
    """Knows the file of one path from when it was first opened, or from whom it was told."""

    def __init__(self, path: Path, known: FileId | None = None) -> None:
        self.path = path
        self._where = str(path)
        self.known = known
        self.is_lost = False
        """Whether it was gone at the last look."""
        self._users: list[Callable[[], None]] = []

    def require_same_file(self) -> None:
        """Raise `FileGone` unless the path leads to the file; the first that is found is taken for it."""
        try:
            status = os.stat(self._where)  # noqa: PTH116 - half the time of the other way, for each commit
            if (status.st_dev, status.st_ino) == self.known:
                self.is_lost = False
                return
        except OSError:
            pass
        found = file_id(self.path)
        if found is not None and self.known is None:
            self.known = found
        self.is_lost = found is None or found != self.known
        if self.is_lost:
            what = "is not there" if found is None else "is not the one that was opened"
            raise FileGone(f"the file {self.path.name} {what}; bring it back, or restart on the one that is to be used")

    def when_reopened(self, let_go: Callable[[], None]) -> None:
        """Have `let_go` called, on the loop, when every connection to the file is to be closed."""
        self._users.append(let_go)

    def reopen(self) -> None:
        """Have every connection of this process closed and opened anew when it is needed.

        One that was opened while the file could only be read stays so, and so does what the others share with it.
        """
        for let_go in self._users:
            let_go()

    def look(self) -> None:
        """Find out whether it is lost, when it is known."""
        if self.known is not None:
            self.is_lost = file_id(self.path) != self.known


def file_id(path: Path) -> FileId | None:
    """Return which file it is that the path leads to; None for none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - half the time of the other way, for each commit
    except OSError:
        return None
    return FileId(status.st_dev, status.st_ino)


def log_of(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log of a file."""
    return path.with_name(f"{path.name}-wal")
