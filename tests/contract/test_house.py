"""The house stays as it is: names that do not collide, and modules of one idea.

Which package may import from which is held by import-linter, `make lint`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "shared" / "fedmol"
PACKAGES = (LIBRARY, ROOT / "aggregator" / "fedmol_aggregator", ROOT / "collaborator" / "fedmol_collaborator")
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
LONGEST = 340  # lines

USUAL = {"__init__": "packages", "__main__": "programs", "base": "what the algorithms of a package have in common"}
TWICE = {  # packages that two distributions have
    "doctor": "the site's adds to the library's",
    "openfl_adapter": "one at either end of OpenFL's line",
}


def _name(path: Path) -> str:
    """A module's base name, or a package's."""
    return path.parent.name if path.name == "__init__.py" and path.parent not in PACKAGES else path.stem


def _shared(modules: Iterable[Path]) -> dict[str, list[Path]]:
    """Names that several have."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in modules:
        found[_name(path)].append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def _explained(name: str, paths: list[Path]) -> bool:
    modules = [path for path in paths if path.name != "__init__.py"]
    if name in USUAL or not modules:
        return name in {*USUAL, *TWICE}
    algorithm = {path.parent.name for path in paths} == {"strategies", "local_methods"}  # its two halves
    return algorithm or (len(paths) == len(modules) + 1 and all(map(_of_a_package, modules)))


def _of_a_package(module: Path) -> bool:
    """A module that is named after a package: its command, or its own subject."""
    return module.parent == LIBRARY / "cli" or module.parent.name == module.stem


def test_no_two_modules_share_a_name_without_a_reason() -> None:
    wrong = [paths for name, paths in _shared(MODULES).items() if not _explained(name, paths)]
    assert [[str(path.relative_to(ROOT)) for path in paths] for paths in wrong] == []
    assert {*USUAL, *TWICE} <= _shared(MODULES).keys()


def test_a_name_that_is_taken_is_noticed() -> None:
    report = LIBRARY / "report" / "__init__.py"
    assert _explained("report", [report, LIBRARY / "cli" / "report.py"])
    assert not _explained("report", [report, LIBRARY / "sidecar" / "report.py"])
    assert not _explained("rounds", [LIBRARY / "fl" / "rounds.py", LIBRARY / "training" / "rounds.py"])
    assert not _explained("fl", [LIBRARY / "fl" / "__init__.py", LIBRARY / "training" / "fl" / "__init__.py"])


def test_a_module_is_no_longer_than_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert [path for path, length in lengths.items() if length > LONGEST] == []
