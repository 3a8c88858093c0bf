"""Phrases of the page about words are found wherever they stand."""

from pathlib import Path

import pytest

from tools.words import SECTION, check, files, phrases

ROOT = Path(__file__).parents[3]
PAGE = f"""# Words

{SECTION}

| instead of | write |
|---|---|
| hitherto, ere long | until now |
| betwixt | between |

### Other

| instead of | write |
|---|---|
| perchance | perhaps |
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "docs" / "words.md").write_text(PAGE)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        '"""Hitherto it was slow."""',
        "x = 1  # hitherto",
        "def open_hitherto(): ...",
        "def test_ere_long_it_is_open(): ...",
        "raise Failed('ere  long')",
        "x = 1\n# It is open ere\n# long.",
        "BETWIXT = 1",
    ],
)
def test_a_phrase_is_found_in_names_comments_and_strings(root: Path, text: str) -> None:
    (root / "src" / "planted.py").write_text(f"\n{text}\n")

    (found,) = check(root)

    line = 3 if "\n" in text else 2
    assert found.startswith(f"src/planted.py:{line}: ")
    assert found.endswith(("write until now", "write between"))


@pytest.mark.parametrize("text", ["hithertos", "perchance", "ere it takes long"])
def test_parts_of_words_and_what_a_reader_must_judge_pass(root: Path, text: str) -> None:
    (root / "src" / "planted.py").write_text(f"# {text}\n")

    assert check(root) == []


def test_the_page_itself_and_records_of_measurements_are_left_out(root: Path) -> None:
    (root / "bench" / "results").mkdir(parents=True)
    (root / "bench" / "results" / "2026-01-01.md").write_text("hitherto")

    assert check(root) == []


def test_a_page_without_the_table_is_a_failure() -> None:
    with pytest.raises(LookupError, match="has no table"):
        phrases("# Words\n")


def test_all_folders_of_the_project_are_read() -> None:
    assert {file.parts[0] for file in files(ROOT)} >= {"src", "tests", "tools", "bench", "migrations", "docs"}
    assert phrases((ROOT / "docs" / "words.md").read_text())
