"""The environments that contenders run from, one for Postern and one for what it is measured against.

What is installed beside a program is part of what it costs: a library of Postern's imports FastAPI where it finds it,
which is half a second of its start and 15 MiB. `make bench` makes both, from hash-pinned requirements.
"""

import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.servers import Unavailable

ROOT: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> str:
        """Return its interpreter. Raises `Unavailable`."""
        return self.program("python")

    def program(self, name: str) -> str:
        """Return a program that was installed into it. Raises `Unavailable`."""
        found = shutil.which(name, path=str(self.folder / "bin"))
        if found is None:
            raise Unavailable(f"there is no {name} in {self.folder.name} of bench/.environments; `make bench` makes it")
        return found

    def versions(self, *packages: str) -> dict[str, str]:
        """Return the versions of those that are installed."""
        places = [str(place) for place in self.folder.glob("lib/python*/site-packages")]
        # Not `version()`, which asks about the environment that this runs in.
        return {
            package: found.version
            for package in packages
            for found in importlib.metadata.distributions(name=package, path=places)
        }

    def need(self, *packages: str) -> None:
        """Raises `Unavailable` where one of them is not installed."""
        known = self.versions(*packages)
        if missing := [package for package in packages if package not in known]:
            raise Unavailable(f"{', '.join(missing)}: not installed; `make bench` installs it")


def _environment(name: str) -> Environment:
    return Environment(Path(os.environ.get("BENCH_ENVIRONMENTS", ROOT / "bench" / ".environments")) / name)


PRODUCT: Final = _environment("postern")
"""What the product needs at run time, and nothing else; the floor and this benchmark itself run from it, too."""
OTHERS: Final = _environment("others")
"""What the baselines need, and what draws."""
