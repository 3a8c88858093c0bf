"""The secret key: which are too weak, and the one that development makes for itself."""

import os
import re
import secrets
import tempfile
from pathlib import Path

from entrypoints.settings.values import SECRET_KEY_MIN_BYTES

_PLACEHOLDER = re.compile(
    r"change.?(me|this|it)|example|placeholder|insecure|(your|my|super).{0,5}secret|secret.{0,5}key|replace.{0,2}(me|this)"
    r"|your.?256|password|12345678",
    re.IGNORECASE,
)
_PUBLISHED = frozenset({"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"})
"""Keys that look random and stand in tutorials."""


def secret_key_weakness(key: str) -> str | None:
    """Say why a key must not sign anything that strangers can see; None when nothing speaks against it."""
    if not key:
        return "there is no default outside of development"
    if len(key.encode()) < SECRET_KEY_MIN_BYTES:
        return f"it has {len(key.encode())} bytes"
    if key in _PUBLISHED or _PLACEHOLDER.search(key):
        return "it is a placeholder or a published example"
    if len(set(key)) < 8:
        return "it repeats a few characters"
    return None


def development_key(path: Path) -> str:
    """Return the key kept in `path`, made on the first call; readable by its owner alone.

    Processes that start at the same time agree: the file appears whole, and the first one to link it wins.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".secret_key-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(secrets.token_urlsafe(48) + "\n")
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    key = path.read_text(encoding="ascii").strip()
    if len(key) < SECRET_KEY_MIN_BYTES:
        raise ValueError(f"{path} is damaged: remove it to get a new key")
    return key
