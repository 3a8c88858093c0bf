"""Names in `.env` that are nearly those of settings: a setting that is not read is a trap."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from entrypoints.settings.loading import ENV_FILE, names_in

_OTHERS: Final = frozenset({"ADMIN_PASSWORD", "MYSQL_PASSWORD", "RABBITMQ_PASSWORD", "PUBLISH"})
"""Right, but no settings: what `create-admin` and `compose.yaml` read out of the same file."""
_LIKENESS: Final = 0.75
"""Of names in which one or two letters in ten are wrong; below it, names are other programs' own."""


def misspelt_names(directory: Path, settings: Iterable[str]) -> Iterator[str]:
    """Yield one line for each name in `.env` that is no setting but resembles one."""
    known = {*settings, *_OTHERS}
    for name in names_in(directory / ENV_FILE):
        if name in known:
            continue
        nearest = get_close_matches(name.upper(), sorted(known), n=1, cutoff=_LIKENESS)
        if nearest:
            yield f"{name} in {ENV_FILE} is not a setting and has no effect; did you mean {nearest[0]}?"
