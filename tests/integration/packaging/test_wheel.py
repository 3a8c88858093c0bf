"""The wheel: what it holds, and that it migrates and serves a document away from the checkout."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.untraced

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: setuptools writes into the folder that it builds from.
    source = folder / "source"
    for name in ("src", "migrations"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--wheel-dir", folder, source],
        capture_output=True,
        timeout=300,
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_data_file_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected: set[str] = set()
    for root, packages in (
        (ROOT / "src", ("domain", "application", "adapters", "entrypoints")),
        (ROOT, ("migrations",)),
    ):
        for package in packages:
            expected |= {str(path.relative_to(root)) for path in (root / package).rglob("*") if _is_shipped(path)}

    assert held == expected


def _is_shipped(path: Path) -> bool:
    # Only who works on the checkout makes new revisions, from the template.
    return path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".pyc", ".mako"}


def test_the_wheel_migrates_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); "
        "import migrations; from entrypoints.cli.main import main; "
        f"assert migrations.__file__.startswith({str(tmp_path)!r}); main(['migrate'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": "", "DATABASE_URL": "sqlite:///away.db"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "(it was empty)" in done.stdout
    assert (tmp_path / "away.db").exists()
