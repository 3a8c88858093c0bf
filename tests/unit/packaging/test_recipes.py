"""The recipes for changes: every file, folder, name and test that they speak of is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RECIPES = (ROOT / "docs" / "recipes.md").read_text()

# A file or a folder, and a name in it: `src/domain/posts/post.py:Post`.
PLACES = sorted(set(re.findall(r"`((?:src|tests|docs|migrations|tools|bench|\.ci)/[^`:]*)(?::(\w+))?`", RECIPES)))
TESTS = sorted(set(re.findall(r"`(test_\w+)`", RECIPES)))
KINDS = ("field", "context", "event", "setting", "limit", "storage backend", "broker")


@pytest.mark.parametrize(("path", "name"), PLACES)
def test_every_place_that_a_recipe_names_is_there(path: str, name: str) -> None:
    assert (ROOT / path).exists()
    if name:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{path} has no {name}"


@pytest.mark.parametrize("name", TESTS)
def test_every_test_that_a_recipe_counts_on_is_there(name: str) -> None:
    assert any(f"def {name}(" in file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))


def test_there_is_a_recipe_for_each_kind_of_change_and_its_steps_are_in_order() -> None:
    parts = re.split(r"^## An? ", RECIPES, flags=re.MULTILINE)[1:]
    assert [part.partition("\n")[0] for part in parts] == list(KINDS)
    for part in parts:
        steps = [int(number) for number in re.findall(r"^(\d+)\. ", part, re.MULTILINE)]
        assert steps == list(range(1, len(steps) + 1))
        assert len(steps) > 3
    assert len(PLACES) > 50


def test_contributing_leads_to_the_recipes() -> None:
    assert "](docs/recipes.md)" in (ROOT / "CONTRIBUTING.md").read_text()
