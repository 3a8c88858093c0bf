"""A contract for import-linter: third-party packages are imported where the configuration says, and nowhere else.

import-linter's own `forbidden` contract takes a list of what must not be imported, so a package that nobody thought of
passes. This one takes what may be imported, and where; anything else that is not the standard library is a violation.
"""

import re
import sys
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

_RULE = re.compile(r"(?P<package>[a-z0-9_]+) in (?P<places>.+)")


class ConfinedContract(Contract):
    """Takes `allowed`: lines such as `redis in adapters.cache.**`; several places are separated by commas.

    `*` stands for one part of a module's name, `**` for one or more. A rule that nothing makes use of breaks the
    contract too: it would let in what nobody decided on.
    """

    type_name = "confined"

    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        del verbose
        places = dict(_rule(line) for line in cast("list[str]", self.allowed))
        used: set[str] = set()
        violations: list[tuple[str, str, int]] = []
        for package in sorted(graph.modules):
            if not graph.is_module_squashed(package) or package.partition(".")[0] in sys.stdlib_module_names:
                continue
            for importer in sorted(graph.find_modules_that_directly_import(package)):
                if any(place.fullmatch(importer) for place in places.get(package.partition(".")[0], [])):
                    used.add(package.partition(".")[0])
                    continue
                details = graph.get_import_details(importer=importer, imported=package)
                violations.extend((importer, package, detail["line_number"]) for detail in details)
        idle = sorted(set(places) - used)
        return ContractCheck(kept=not violations and not idle, metadata={"violations": violations, "idle": idle})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, package, line in check.metadata["violations"]:
            output.print_error(f"{importer} must not import {package} (line {line})", bold=False)
        for package in check.metadata["idle"]:
            output.print_error(f"the rule for {package} allows what nobody imports: remove it", bold=False)


def _rule(line: str) -> tuple[str, list[re.Pattern[str]]]:
    match = _RULE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} is not of the form 'package in module.*, other.**'")
    return match["package"], [_pattern(place.strip()) for place in match["places"].split(",")]


def _pattern(place: str) -> re.Pattern[str]:
    parts = {"*": r"[^.]+", "**": r".+"}
    return re.compile(
        r"\.".join(parts.get(part) or re.escape(part) for part in place.split("."))
    )  # regexes: names and dots of pyproject.toml
