import cProfile
import pstats
from pathlib import Path

from bench.profile import by_layer, tables


def test_time_belongs_to_the_layer_of_the_file_and_what_is_built_in_to_its_caller(tmp_path: Path) -> None:
    file = tmp_path / "site-packages" / "sqlalchemy" / "busy.py"
    file.parent.mkdir(parents=True)
    source = "def busy():\n    return sorted(range(200_000), key=lambda number: -number)\n"
    space: dict[str, object] = {}
    exec(compile(source, str(file), "exec"), space)
    profiler = cProfile.Profile()
    profiler.enable()
    space["busy"]()  # type: ignore[operator]  # it is a function
    profiler.disable()
    found = by_layer(pstats.Stats(profiler))
    # `sorted` is built in, and was called from there.
    assert found["SQLAlchemy"] > 0.9 * sum(found.values())


def test_the_table_has_a_row_a_layer_and_says_how_far_apart_rounds_were() -> None:
    one = {"us": 30.0, "lowest": 28.0, "highest": 33.0, "layers": {"use cases": 10.0, "SQL adapter": 20.0}}
    told = tables({"one_post": one, "vote": {**one, "layers": {"SQL adapter": 5.0}}})
    assert told.splitlines()[2] == "| SQL adapter | 20.0 | 5.0 |"
    assert "| use cases | 10.0 |  |" in told
    assert "| **in all** | 30 (28 to 33) | 30 (28 to 33) |" in told
