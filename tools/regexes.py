r"""Regular expressions that take super-linear time: `python -m tools.regexes [folder...]`, a step of `make lint`.

Python's `re` backtracks. Where two ways through a pattern match the same characters again and again, and what follows
can fail, it tries all combinations: twice as many with each repetition, or as many more as there were before. So every
pattern in the sources is read as an automaton, as in Weber and Seidl, "On the degree of ambiguity of finite automata"
(1991): it takes exponential time when some state gets back to itself by two ways over the same characters, and
polynomial time when one loop leads into another over characters that both of them take.

Each pattern is taken from its call (`re.compile`, `re.fullmatch`, …, `msgspec.Meta(pattern=…)`) and evaluated in its
module, so that it may be put together of constants. How it is used decides: `fullmatch` must take the whole text;
`search`, `sub` and the like begin anywhere, and end as soon as they have found something.

It errs towards reporting: what is counted more than `_UNROLLED` times is taken as without end, and conditions
(look-around, `\b`) as always met. A line with `# regexes: ` and a reason is left out. What is not read is reported.
"""

import argparse
import ast
import importlib
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]  # the parser of `re` has no public name
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

_UNROLLED: Final = 6
"""Repetitions that are counted; a higher bound is as good as none, for a text as long as that."""
_STATES_MAX: Final = 400
_ANYWHERE: Final = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
_WHOLE: Final = "fullmatch"
_METHODS: Final = frozenset({*_ANYWHERE, "match", _WHOLE})
_IGNORED: Final = "# regexes: "
_SAMPLES: Final = (
    '\x00\t\n\r\x1c !"%,-./05:;=@AZ[_`az{~\x7f\x85\xa0\xaaµßéÿİ\u0131\u017f\u0300\u0660\u2028\u3000東\uffff\U0001f389'
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a pattern."""

    place: str
    pattern: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.pattern}"


class Unreadable(Exception):
    """A pattern uses something that is not looked into here."""


Test = Callable[[str], bool]


@dataclass(slots=True)
class _Automaton:
    """States, steps that take a character, and steps that take none."""

    takes: list[tuple[Test, int] | None] = field(default_factory=list)
    empty: list[list[int]] = field(default_factory=list)
    samples: set[str] = field(default_factory=set)

    def state(self) -> int:
        if len(self.takes) >= _STATES_MAX:
            raise Unreadable(f"has more than {_STATES_MAX} states")
        self.takes.append(None)
        self.empty.append([])
        return len(self.takes) - 1

    def closure(self, state: int) -> set[int]:
        found, waiting = {state}, [state]
        while waiting:
            for other in self.empty[waiting.pop()]:
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found


def _build(automaton: _Automaton, items: Iterable[Any], begin: int, flags: int) -> int:
    """Add what `items` match from the state `begin` on; return the state that is reached by it."""
    at = begin
    for operator, argument in items:
        at = _build_one(automaton, operator, argument, at, flags)
    return at


def _build_one(automaton: _Automaton, operator: Any, argument: Any, at: int, flags: int) -> int:
    if operator in {sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN}:
        end = automaton.state()
        automaton.takes[at] = (_test(automaton, operator, argument, flags), end)
        after = automaton.state()
        automaton.empty[end].append(after)
        return after
    if operator in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}:
        return at  # A condition only ever makes fewer ways.
    if operator is sre.SUBPATTERN:
        _, added, removed, inner = argument
        return _build(automaton, inner, at, (flags | added) & ~removed)
    if operator is sre.BRANCH:
        end = automaton.state()
        for branch in argument[1]:
            begin = automaton.state()
            automaton.empty[at].append(begin)
            automaton.empty[_build(automaton, branch, begin, flags)].append(end)
        return end
    if operator in {sre.MAX_REPEAT, sre.MIN_REPEAT, getattr(sre, "POSSESSIVE_REPEAT", None)}:
        return _build_repeat(automaton, argument, at, flags)
    if operator is getattr(sre, "ATOMIC_GROUP", None):
        return _build(automaton, argument, at, flags)
    raise Unreadable(f"uses {operator}")


def _build_repeat(automaton: _Automaton, repeat: tuple[int, int, Any], at: int, flags: int) -> int:
    least, most, inner = repeat
    endless = most is sre.MAXREPEAT or most > _UNROLLED
    for _ in range(min(least, _UNROLLED)):
        begin = automaton.state()
        automaton.empty[at].append(begin)
        at = _build(automaton, inner, begin, flags)
    end = automaton.state()
    if endless:
        loop = automaton.state()
        automaton.empty[at].append(loop)
        automaton.empty[loop].append(end)
        begin = automaton.state()
        automaton.empty[loop].append(begin)
        automaton.empty[_build(automaton, inner, begin, flags)].append(loop)
        return end
    for _ in range(most - min(least, _UNROLLED)):
        automaton.empty[at].append(end)
        begin = automaton.state()
        automaton.empty[at].append(begin)
        at = _build(automaton, inner, begin, flags)
    automaton.empty[at].append(end)
    return end


def _test(automaton: _Automaton, operator: Any, argument: Any, flags: int) -> Test:
    if operator is sre.ANY:
        return (lambda _: True) if flags & re.DOTALL else (lambda c: c != "\n")
    if operator is sre.IN:
        negated = bool(argument) and argument[0][0] is sre.NEGATE
        tests = [_member(automaton, member[0], member[1], flags) for member in argument[int(negated) :]]
        return lambda c: any(test(c) for test in tests) is not negated
    test = _member(automaton, sre.LITERAL, argument, flags)
    return test if operator is sre.LITERAL else lambda c: not test(c)


def _member(automaton: _Automaton, operator: Any, argument: Any, flags: int) -> Test:
    if operator is sre.CATEGORY:
        kind = {
            sre.CATEGORY_DIGIT: r"\d",
            sre.CATEGORY_NOT_DIGIT: r"\D",
            sre.CATEGORY_SPACE: r"\s",
            sre.CATEGORY_NOT_SPACE: r"\S",
            sre.CATEGORY_WORD: r"\w",
            sre.CATEGORY_NOT_WORD: r"\W",
        }[argument]
        compiled = re.compile(kind, flags & re.ASCII)  # regexes: one of the above
        return lambda c: compiled.match(c) is not None
    first, last = (argument, argument) if operator is sre.LITERAL else argument
    near = range(max(first - 1, 0), first + 2), range(max(last - 1, 0), min(last + 2, sys.maxunicode))
    automaton.samples.update(chr(code) for codes in near for code in codes)
    if not flags & re.IGNORECASE:
        return lambda c: first <= ord(c) <= last
    return lambda c: any(first <= ord(one) <= last for one in {c, c.lower()[:1], c.upper()[:1]})


class _Ways:
    """The ways through a pattern: from a state that takes a character to the next such states, by kind of character."""

    def __init__(self, pattern: str | bytes, flags: int, method: str) -> None:
        parsed = parser.parse(pattern, flags)
        flags = parsed.state.flags
        automaton = _Automaton()
        start = automaton.state()
        if method in _ANYWHERE and not _is_anchored(parsed):
            # What begins anywhere begins with anything.
            anything = automaton.state()
            automaton.empty[start].append(anything)
            automaton.takes[anything] = (lambda _: True, anything)
            begin = automaton.state()
            automaton.empty[anything].append(begin)
            self._anything: int | None = anything
        else:
            begin, self._anything = start, None
        end = _build(automaton, parsed, begin, flags)
        self._automaton = automaton
        samples = {c for c in automaton.samples | set(_SAMPLES) if isinstance(pattern, str) or ord(c) < 256}
        closures = [automaton.closure(state) for state in range(len(automaton.takes))]
        # A pattern that need not take the whole text has found something once it is at its end, whatever follows.
        taking = [state for state, takes in enumerate(automaton.takes) if takes is not None]
        ends_early = method != _WHOLE and not _ends_with_condition(parsed)
        self._found = {s for s in taking if ends_early and end in closures[self._after(s)]}
        kinds = {tuple(self._takes(state)(c) for state in taking): c for c in sorted(samples)}
        self.kinds = tuple(kinds.values())
        self.next: dict[int, dict[str, tuple[int, ...]]] = {}
        for state in taking:
            test, after = automaton.takes[state] or (None, 0)
            to = tuple(sorted(s for s in closures[after] if automaton.takes[s] is not None))
            if state == self._anything:
                to = tuple(sorted({*to, state}))
            self.next[state] = {c: to for c in self.kinds if test is not None and test(c)}
        # The same state may be reached without a character by several ways: `(a*)*`, `(|a)*`.
        self._several = {state for state in taking if self._reaches_twice(automaton.takes[state])}

    def _takes(self, state: int) -> Test:
        takes = self._automaton.takes[state]
        return takes[0] if takes is not None else lambda _: False

    def _after(self, state: int) -> int:
        takes = self._automaton.takes[state]
        return state if takes is None else takes[1]

    def _reaches_twice(self, takes: tuple[Test, int] | None) -> bool:
        return takes is not None and any(count > 1 for count in self._ways_to(takes[1]).values())

    def _ways_to(self, state: int) -> dict[int, int]:
        """Count the ways without a character to each state that takes one; 2 stands for more than one."""
        ways: dict[int, int] = {}
        path: set[tuple[int, int]] = set()

        def follow(at: int) -> None:
            if ways.get(at, 0) > 1:
                return
            if self._automaton.takes[at] is not None:
                ways[at] = ways.get(at, 0) + 1
            for step in ((at, other) for other in self._automaton.empty[at]):
                if step not in path:  # `re` does not go round without having taken a character.
                    path.add(step)
                    follow(step[1])
                    path.discard(step)

        follow(state)
        return ways

    @cached_property
    def loops(self) -> dict[int, int]:
        """The states that lead back to themselves, each with the number of its loop."""
        reached = {state: self._reached(state) for state in self.next}
        numbers: dict[int, int] = {}
        for state, others in reached.items():
            if state in others:
                numbers[state] = min(other for other in others | {state} if state in reached[other])
        return numbers

    def _reached(self, state: int) -> set[int]:
        found: set[int] = set()
        waiting = [state]
        while waiting:
            for to in self.next[waiting.pop()].values():
                fresh = set(to) - found
                found |= fresh
                waiting += fresh
        return found

    def may_fail(self, state: int) -> bool:
        """Tell whether there is anything to be tried again behind `state`: not once the pattern has been found."""
        return state not in self._found

    def is_exponential(self) -> bool:
        """Tell whether some state comes back to itself by two ways over the same characters."""
        for state in self.loops:
            if not self.may_fail(state):
                continue
            if state in self._several and self._comes_back(state):
                return True
            if self._meets((state, state), (state, state), apart=True):
                return True
        return False

    def _comes_back(self, state: int) -> bool:
        takes = self._automaton.takes[state]
        ways = self._ways_to(takes[1]) if takes else {}
        return any(count > 1 and self.loops.get(other) == self.loops[state] for other, count in ways.items())

    def _meets(self, begin: tuple[int, ...], goal: tuple[int, ...], *, apart: bool) -> bool:
        """Tell whether states move from `begin` to `goal` over the same characters, each in its own loop or on its way.

        With `apart` they must have been at different states in between.
        """
        waiting = deque([(begin, False)])
        known = {(begin, False)}
        while waiting:
            states, parted = waiting.popleft()
            for c in self.kinds:
                for after in _product([self.next[state].get(c, ()) for state in states]):
                    now = parted or len(set(after)) > 1
                    if after == goal and (now or not apart):
                        return True
                    if (after, now) not in known and self._is_on_its_way(after, goal):
                        known.add((after, now))
                        waiting.append((after, now))
        return False

    def _is_on_its_way(self, states: tuple[int, ...], goal: tuple[int, ...]) -> bool:
        return all(one == other or other in self._reached_by[one] for one, other in zip(states, goal, strict=True))

    @cached_property
    def _reached_by(self) -> dict[int, set[int]]:
        return {state: self._reached(state) for state in self.next}

    def is_polynomial(self) -> bool:
        """Tell whether one loop leads into another over characters that both take."""
        for one, number in self.loops.items():
            for other, second in self.loops.items():
                if number == second or other not in self._reached_by[one] or not self.may_fail(other):
                    continue
                if self._meets((one, one, other), (one, other, other), apart=False):
                    return True
        return False


def _product(choices: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    if not choices:
        yield ()
        return
    for first in choices[0]:
        for rest in _product(choices[1:]):
            yield (first, *rest)


def _is_anchored(parsed: Any) -> bool:
    return bool(parsed) and parsed[0][0] is sre.AT and parsed[0][1] in {sre.AT_BEGINNING, sre.AT_BEGINNING_STRING}


def _ends_with_condition(parsed: Any) -> bool:
    """Tell whether the pattern may be complete but for a condition at its end: `$`, or a look-ahead."""
    items = list(parsed)
    return bool(items) and items[-1][0] in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}


def judge(pattern: str | bytes, flags: int = 0, method: str = _WHOLE) -> str | None:
    """Return what is wrong with a pattern as it is used; None when it takes linear time."""
    try:
        ways = _Ways(pattern, flags, method)
        if ways.is_exponential():
            return f"takes exponential time ({method})"
        return f"takes polynomial time ({method})" if ways.is_polynomial() else None
    except Unreadable as error:
        return f"cannot be judged, it {error}"


def pump(pattern: str, size: int) -> str:
    """Return a text that `pattern` matches where its repetitions go on for about `size` characters, for tests."""
    return _pumped(parser.parse(pattern), size)


def _pumped(items: Iterable[Any], size: int) -> str:
    parts: list[str] = []
    for operator, argument in items:
        if operator is sre.SUBPATTERN:
            parts.append(_pumped(argument[3], size))
        elif operator is sre.BRANCH:
            parts.append(max((_pumped(branch, size) for branch in argument[1]), key=len))
        elif operator in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
            least, most, inner = argument
            once = _pumped(inner, size if most == 1 else 1)
            endless = most is sre.MAXREPEAT or most > _UNROLLED
            parts.append(once * (size // max(1, len(once)) if endless else max(least, min(most, 1))))
        elif operator not in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}:
            automaton = _Automaton()
            test = _test(automaton, operator, argument, 0)
            parts.append(next((c for c in sorted(automaton.samples | set(_SAMPLES), reverse=True) if test(c)), "a"))
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Use:
    """A pattern where it stands, and the methods that it is used with."""

    place: str
    pattern: str | bytes
    flags: int
    methods: frozenset[str]


def uses(file: Path, names: Mapping[str, Any]) -> Iterator[Use | Fault]:
    """Return every pattern in a module, whose names are those; a fault for each that is not known before it runs."""
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines()
    tree = ast.parse(source)
    given = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        found = _pattern_of(node)
        if found is None or any(_IGNORED in line for line in lines[node.lineno - 1 : node.end_lineno]):
            continue
        method, pattern, flags = found
        place = f"{file}:{node.lineno}"
        try:
            value = eval(_compiled(pattern), dict(names))  # noqa: S307 - of our own sources
            flag = 0 if flags is None else int(eval(_compiled(flags), dict(names)))  # noqa: S307
        except Exception as error:  # noqa: BLE001 - whatever it is, the pattern is not known
            yield Fault(place, ast.unparse(pattern), f"is not known before it runs ({error})")
            continue
        methods = _methods_of(tree, given, node) if method == "compile" else frozenset({method})
        yield Use(place, value, flag, methods or _METHODS)


def _compiled(expression: ast.expr) -> Any:
    return compile(ast.Expression(expression), "<pattern>", "eval")


def _pattern_of(call: ast.Call) -> tuple[str, ast.expr, ast.expr | None] | None:
    """Return method, pattern and flags of a call that takes a pattern; None for any other."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        owner, name = call.func.value.id, call.func.attr
        if owner == "msgspec" and name == "Meta" and "pattern" in keywords:
            return "search", keywords["pattern"], None
        if owner == "re" and name in _METHODS | {"compile"}:
            pattern = keywords.get("pattern", call.args[0] if call.args else None)
            position = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(name, 2)
            flags = keywords.get("flags", call.args[position] if len(call.args) > position else None)
            return None if pattern is None else (name, pattern, flags)
    return None


def _methods_of(tree: ast.Module, given: Mapping[ast.AST, ast.AST], call: ast.Call) -> frozenset[str]:
    """Return the methods that a compiled pattern is used with in its module; none where that cannot be told."""
    name = _name_of(given, call)
    if name is None:
        return frozenset()
    return frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and node.attr in _METHODS
    )


def _name_of(given: Mapping[ast.AST, ast.AST], call: ast.Call) -> str | None:
    """Return the name that a call's outcome is assigned to, alone or as one of several; None for none."""
    target = given[call]
    if isinstance(target, ast.Tuple) and isinstance(several := given[target], ast.Assign):
        names = several.targets[0]
        one = names.elts[target.elts.index(call)] if isinstance(names, ast.Tuple) else None
    elif isinstance(target, ast.Assign):
        one = target.targets[0]
    else:
        one = target.target if isinstance(target, ast.AnnAssign) else None
    return one.id if isinstance(one, ast.Name) else None


def check(file: Path, names: Mapping[str, Any]) -> Iterator[Fault]:
    """Return what is wrong with the patterns of a module."""
    for use in uses(file, names):
        if isinstance(use, Fault):
            yield use
            continue
        for method in sorted(use.methods):
            what = judge(use.pattern, use.flags, method)
            if what is not None:
                yield Fault(use.place, repr(use.pattern), what)
                break


def _names_of(file: Path, root: Path) -> Mapping[str, Any]:
    if not re.search(r"\bre\.|pattern=", file.read_text(encoding="utf-8")):
        return {}
    return vars(importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts)))


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("folders", nargs="*", type=Path, default=[Path("src"), Path("migrations"), Path("tools")])
    sys.path[:0] = ["src", "."]
    faults: list[Fault] = []
    for folder in arguments.parse_args().folders:
        for file in sorted(folder.rglob("*.py")):
            faults += check(file, _names_of(file, folder if folder.name == "src" else folder.parent))
    for fault in faults:
        print(fault)  # noqa: T201 - it is what the command is for
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
