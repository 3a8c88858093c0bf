"""import-linter in a process that stays: for each line that it reads it checks the tree, and answers with a line.

Not in pytest's own process, where the packages of the tree are imported already, from elsewhere.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path


def main(root: Path, cache: Path) -> None:
    sys.path[:0] = [str(root / "src"), str(root)]
    from importlinter.cli import lint_imports  # takes the packages from the path

    for _ in sys.stdin:
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            status = lint_imports(config_filename=str(root / "pyproject.toml"), cache_dir=str(cache))
        print(json.dumps({"status": status, "said": said.getvalue()}), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
