"""The checker of regular expressions finds what takes super-linear time, and lets pass what does not."""

import re
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.growth import seconds
from tools.regexes import Fault, check, judge, main

pytestmark = pytest.mark.untraced

BAD = [
    # The one that 24 parameters of a media type took 26 seconds in.
    (
        (r"""application/json[ \t]*(?:;[ \t]*(?:charset="?utf-8"?|(?!charset)[!#$%&'*+.^_`|~0-9a-z-]+=[^;]*)[ \t]*)*"""
         r";?"), "fullmatch", "polynomial|exponential",
    ),
    (r"(a+)+", "fullmatch", "exponential"),
    (r"(a+)+$", "search", "exponential"),
    (r"(?:a|a)*", "fullmatch", "exponential"),
    (r"(?:a|aa)+", "fullmatch", "exponential"),
    (r"(?:a?b?a?)*", "fullmatch", "exponential"),
    (r"(\w+\s?)*", "fullmatch", "exponential"),
    (r"(x+x+)+y", "match", "exponential"),
    (r"(?:a[ab]*)*c", "match", "exponential"),
    (r"([ab]|ab|a)*c", "match", "exponential"),
    (r"(?:(?:a*)*)*b", "match", "exponential"),
    (r"(?:;[ \t]*(?:[a-z]+=[^;]*)[ \t]*)*", "fullmatch", "exponential|polynomial"),
    (r"(?i)(?:ka|\u212aA)*x", "match", "exponential"),
    (r"[^@]+@([^.]+\.?)+", "fullmatch", "exponential"),
    (r"(?P<word>\d+|[0-9a-f]+)*z", "match", "exponential"),
    (r"a*a*", "fullmatch", "polynomial"),
    (r"\s*,?\s*x", "match", "polynomial"),
    (r".*a.*b.*c", "fullmatch", "polynomial"),
    (r"\s+$", "search", "polynomial"),
    (r" +x", "search", "polynomial"),
    (r"^ *(?:x ?)? *y", "search", "polynomial"),
    (r"[0-9]{0,100}[0-9]{0,100}x", "fullmatch", "polynomial"),
    (r"(?P<quote>['\"]).*(?P=quote)", "fullmatch", "cannot be judged"),
]  # fmt: skip

GOOD = [
    (r"(a+)+", "match"),
    (r"\s+", "finditer"),
    (r"//+", "sub"),
    (r"[a-z]+ +[a-z]+", "fullmatch"),
    (r"(?:[a-z]+ )*[a-z]+", "fullmatch"),
    (r'"(?:[^"\\]|\\.)*"', "fullmatch"),
    (r"[0-9]{4}-[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2})", "fullmatch"),
    (r'[ \t,]*(?:(?:W/)?"[^"]*"[ \t]*(?:,[ \t,]*|$))+', "fullmatch"),
    (r"^(\*|[a-z_]+\.(\*|[a-z_]+))$", "search"),
    (r"[a-z]([a-z0-9.-]{0,251}[a-z0-9])?\.?", "fullmatch"),
    (r"a*b*c*", "fullmatch"),
    (r"(?:a|b)*c", "fullmatch"),
    (r"(?i)bearer +([a-z0-9]+=*)", "fullmatch"),
]


@pytest.mark.parametrize(("pattern", "method", "what"), BAD)
def test_a_pattern_of_super_linear_time_is_found(pattern: str, method: str, what: str) -> None:
    assert re.search(what, judge(pattern, method=method) or "")


@pytest.mark.parametrize(("pattern", "method"), GOOD)
def test_a_pattern_of_linear_time_passes(pattern: str, method: str) -> None:
    assert judge(pattern, method=method) is None


def test_patterns_of_bytes_and_with_flags_are_judged() -> None:
    assert judge(rb"(?:\xff+)+x", method="match")
    assert judge(r"(?:ka|KA)*x", re.IGNORECASE, "match")
    assert judge(r"(?:ka|KA)*x", method="match") is None


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "text"), [(r"\s+$", " "), (r"a+b", "a")])
def test_what_is_called_polynomial_is(pattern: str, text: str) -> None:
    compiled = re.compile(pattern)
    few, many = (min(seconds(partial(compiled.search, text * n + "!")) for _ in range(3)) for n in (2_000, 16_000))
    assert many > 20 * few  # 64 times as much by its square, 8 times by its length


SOURCE = """
import re
import msgspec

PATTERN = "^(a+)+$"
_KNOWN = re.compile(PATTERN.removesuffix("$"))
_SEARCHED = re.compile(r"\\s+$")
_LEFT_OUT = re.compile(r"(b+)+$")  # regexes: of our own texts
_GOOD = re.compile("a+")
FIELD = msgspec.Meta(pattern=PATTERN)
_ONE, _OTHER = re.compile(r"x+"), re.compile(r" *x")

def use(text, other):
    re.sub(r"(?:c|c)*d", "", text)
    re.fullmatch(other, text)
    _ONE.search(text), _OTHER.match(text)
    return _KNOWN.fullmatch(text), _SEARCHED.match(text), _GOOD.search(text)
"""


def test_patterns_are_found_in_a_module_as_they_are_used(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(SOURCE)
    names: dict[str, object] = {}
    exec(SOURCE, names)
    found = {int(fault.place.rpartition(":")[2]): fault.what for fault in check(file, names)}
    assert {line: what.partition(" (")[0] for line, what in found.items()} == {
        6: "takes exponential time",
        10: "takes exponential time",
        14: "takes exponential time",
        15: "is not known before it runs",
    }


@pytest.mark.slow  # It reads all of src/, and make lint looks at the same.
def test_our_own_patterns_take_linear_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["regexes"])
    monkeypatch.chdir(Path(__file__).parents[3])
    assert main() == 0, capsys.readouterr().out


def test_the_command_fails_for_a_planted_pattern(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted/inside.py").write_text("import re\nBAD = re.compile('(a+)+')\nBAD.fullmatch\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["regexes", str(tmp_path / "planted")])
    assert main() == 1
    assert "inside.py:2: takes exponential time (fullmatch): '(a+)+'" in capsys.readouterr().out


def test_a_fault_names_place_and_pattern() -> None:
    assert str(Fault("a.py:1", "'x'", "takes exponential time")) == "a.py:1: takes exponential time: 'x'"
