"""How the `postern` command is called from where this process runs."""

import sysconfig
from pathlib import Path


def own_command() -> str:
    """Return `.venv/bin/postern`, or wherever below the working directory it is installed; else just `postern`."""
    script = Path(sysconfig.get_path("scripts")) / "postern"
    here = Path.cwd()
    return str(script.relative_to(here)) if script.is_relative_to(here) else "postern"
