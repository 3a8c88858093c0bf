from pathlib import Path

import pytest

from bench.prepared import Prepared, fingerprint


def fill_with_rows(file: str) -> None:
    Path(file).write_text("rows", encoding="utf-8")


def test_a_file_is_filled_once_and_copied_afterwards(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path / "kept")
    filled: list[str] = []

    def fill(file: str) -> None:
        filled.append(file)
        Path(file).write_text("rows", encoding="utf-8")

    for target in (tmp_path / "one.db", tmp_path / "two.db"):
        prepared.sqlite("ours", "10000-abc", target, fill)
        assert target.read_text(encoding="utf-8") == "rows"
    assert len(filled) == 1


def test_another_fingerprint_replaces_what_was_kept_of_that_size_alone(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path / "kept")
    for mark in ("10000-abc", "20000-abc", "10000-def"):
        prepared.sqlite("ours", mark, tmp_path / "target.db", fill_with_rows)
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == ["ours-10000-def.db", "ours-20000-abc.db"]


def test_a_filling_that_fails_is_not_kept(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path / "kept")

    def fail(file: str) -> None:
        Path(file).write_text("half of the rows", encoding="utf-8")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        prepared.sqlite("ours", "10000-abc", tmp_path / "target.db", fail)
    prepared.sqlite("ours", "10000-abc", tmp_path / "target.db", fill_with_rows)
    assert (tmp_path / "target.db").read_text(encoding="utf-8") == "rows"


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    filled: list[str] = []
    for _ in range(2):
        Prepared(None).sqlite("ours", "10000-abc", tmp_path / "target.db", filled.append)
    assert filled == [str(tmp_path / "target.db")] * 2


def test_a_fingerprint_changes_with_what_decides_over_the_content(tmp_path: Path) -> None:
    file = tmp_path / "0001.py"
    file.write_text("one", encoding="utf-8")
    first = fingerprint(10_000, files=[file])
    assert fingerprint(10_000, files=[file]) == first
    assert fingerprint(20_000, files=[file]) != first
    file.write_text("two", encoding="utf-8")
    assert fingerprint(10_000, files=[file]) != first
