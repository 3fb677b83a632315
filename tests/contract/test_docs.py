"""What the pages say and link to exists: files and headings, commands and their options, figures."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "k8s/*/README.md", "shared/fedmol/zoo/*.md")
    for page in ROOT.glob(pattern)
)
PROGRAMS = {
    "fedmol": ("fedmol.cli.main", "fedmol"),
    "fedmol-sidecar": ("fedmol.sidecar.__main__", "command"),
    "fedmol-aggregator": ("fedmol_aggregator.__main__", "command"),
    "fedmol-evaluator": ("fedmol_aggregator.evaluator.__main__", "command"),
    "fedmol-collaborator": ("fedmol_collaborator.__main__", "command"),
}
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`((?:fedmol|make)[a-z-]* [^`]+)`")
README = (ROOT / "README.md").read_text()

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", _FENCE.sub("", page.read_text()))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in _anchors(target), link


def _commands(page: Path) -> list[list[str]]:
    """The words of every command of fedmol and make that a page shows."""
    text = page.read_text()
    lines = [
        line
        for block in re.findall(r"^```(?:sh\b.*|)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    shown = [*lines, *_INLINE.findall(_FENCE.sub("", text))]
    words = [_words(command) for line in shown for command in re.split(r"&&|;|\|", line)]
    return [each for each in words if each and (each[0] in PROGRAMS or each[0] == "make")]


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:  # an apostrophe or a here-document: no command of ours
        return []


@by_page
def test_commands_and_their_options_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for words in _commands(page):
        if words[0] == "make":
            asked = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)]
            assert targets.issuperset(asked), words
        else:
            _check_call(words)


def _check_call(words: list[str]) -> None:
    module, name = PROGRAMS[words[0]]
    command, rest = getattr(import_module(module), name), words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, words
        command, rest = found, rest[1:]
    known = {"-h", "--help", "--version"} | {option for param in command.params for option in param.opts}
    for word in rest:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in known, words


@by_page
def test_files_and_modules_that_are_named_exist(page: Path) -> None:
    text = _FENCE.sub("", page.read_text())
    for name in re.findall(r"`((?:tests|benchmarks|docs|docker|k8s|shared|aggregator|collaborator)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(fedmol\w*(?:\.[a-z_0-9]+)+)`", text):
        parts = name.split(".")
        assert _is_module(".".join(parts[:-1])) or _is_module(name), name


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_every_layer_of_the_library_is_described() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [layer for contract in contracts for layer in contract.get("layers", ())]
    table = (ROOT / "docs/developer.md").read_text().partition("### The packages")[2].partition("###")[0]
    described: list[set[str]] = []
    for number, names in re.findall(r"^\| (\d*) ?\| (.*?) \|", table, re.MULTILINE):
        if number:
            assert int(number) == len(described) + 1
            described.append(set())
        described[-1] |= set(re.findall(r"`([a-z_]+)`", names))
    assert described == [set(layer.split(" | ")) for layer in layers]


def test_the_readme_is_short_and_its_pictures_are_small() -> None:
    assert len(README.splitlines()) <= 140
    pictures = {ROOT / path for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)}
    assert len(pictures) == 3
    assert sum(picture.stat().st_size for picture in pictures) < 600_000


def test_the_readme_quotes_the_figures_that_there_are() -> None:
    card = (ROOT / "shared/fedmol/zoo/qm9.md").read_text()
    figures = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+(?: ± [\d.]+)?)", card, flags=re.MULTILINE))
    results = README.partition("## Results")[2]
    for name in ("NLL, published definition", "validity", "uniqueness"):
        assert f"| {figures[name]}" in results, name
    runs = json.loads((ROOT / "docs/results/soak.json").read_text())["runs"]
    assert f"[{sum(not run['failures'] for run in runs)} of {len(runs)}](docs/results/soak.md)" in results
    compared = (ROOT / "docs/results/qm9.md").read_text()
    for share in ("0.55", "3.11", "0.42", "0.31"):
        assert f"{share} %" in results
        assert f"{share} %" in compared
    assert "70.58" in results
    assert "70.58" in compared
