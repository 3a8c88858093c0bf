"""Private names of other modules: `python -m tools.private_names [folder]`, a step of `make lint`.

A name that begins with an underscore may be gone with any release of the library that has it. The fast engine of SQL
uses some, which it lists and checks; elsewhere only what `_ALLOWED` names is used. The linter's own rule (SLF001) sees
attributes alone, and may be switched off on any line; this sees imports and `getattr` too, and may not.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PUBLIC: Final = frozenset({"_asdict", "_exit", "_fields", "_replace"})
"""Documented in spite of their underscore: of named tuples, and of `os`."""
_ALLOWED: Final = {
    "adapters/sql/engine/fast": None,
    # Granian has no public way to run a worker in a process that is not its own.
    "entrypoints/cli/worker.py": frozenset({"_granian", "_spawn_asgi_lifespan_worker"}),
}
"""Where which names may be used; None: all."""
_BY_TEXT: Final = frozenset({"delattr", "getattr", "hasattr", "setattr"})


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a private name."""

    line: int
    name: str
    owner: str
    """What it is a name of, as far as the source says: the last word before it."""


def uses(tree: ast.Module) -> Iterator[Use]:
    """Find uses of private names that the module does not define itself."""
    own = set(_defined(tree))
    for node in ast.walk(tree):
        for use in _named(node):
            if use.name.startswith("_") and not use.name.startswith("__") and use.name not in own:
                yield use


def _named(node: ast.AST) -> Iterator[Use]:
    """Find names of other modules and objects, and what they are names of."""
    match node:
        case ast.Attribute(value=value, attr=name):
            yield Use(node.lineno, name, _last_word(value))
        case ast.ImportFrom(module=module, names=names):
            for part in [*(module or "").split("."), *(alias.name for alias in names)]:
                yield Use(node.lineno, part, module or "")
        case ast.Import(names=names):
            for alias in names:
                for part in alias.name.split("."):
                    yield Use(node.lineno, part, alias.name)
        case ast.Call(func=ast.Name(id=called), args=[owner, ast.Constant(value=str(name)), *_]) if called in _BY_TEXT:
            yield Use(node.lineno, name, _last_word(owner))


def check(folder: Path) -> list[str]:
    """Return what is wrong in the modules of a folder, one line each."""
    return [
        f"{place}:{use.line}: {use.name} is private to {use.owner or 'another module'}"
        for file in sorted(folder.rglob("*.py"))
        for place in [file.relative_to(folder).as_posix()]
        for use in uses(ast.parse(file.read_text()))
        if use.name not in _PUBLIC and not _may_use(place, use.name)
    ]


def _may_use(place: str, name: str) -> bool:
    return any(place.startswith(prefix) and (names is None or name in names) for prefix, names in _ALLOWED.items())


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                yield name


def _last_word(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name.lstrip("_")
        case _:
            return ""


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("folder", nargs="?", type=Path, default=Path("src"))
    found = check(arguments.parse_args().folder)
    print(*found, sep="\n", end="\n" if found else "")  # noqa: T201 - the report
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
