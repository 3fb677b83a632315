"""Every committed file that follows from others, and what makes it.

    make generate     write what is stale
    make verify       write nothing; name what is stale, and end with 1

Both set PYTHONPATH to docker/grafana, where the dashboards are written as code.

Dashboards come before the charts, which carry copies of them, and charts before the manifests that Helm makes of them.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fedmol import files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path("docs") / "results"
Made = dict[Path, str]  # each file's text, by its path from the repository's root


@dataclass(frozen=True)
class Source:
    """`only` are patterns of files that are all generated, so that one which is made no longer has to go."""

    name: str
    make: Callable[[], Made]
    only: tuple[str, ...] = ()

    def stale(self, root: Path) -> dict[Path, str | None]:
        """Each file that is not as it would be written now: the text that it should have, or none if it should go."""
        made = self.make()
        there = {path.relative_to(root) for pattern in self.only for path in root.glob(pattern) if path.is_file()}
        return {
            **{path: text for path, text in made.items() if _read(root / path) != text},
            **dict.fromkeys(sorted(there - made.keys())),
        }


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _rendered() -> Made:
    from fedmol.cli.render import DEFAULT_RUN, rendered
    from fedmol.fl.federation import load

    settings = Path("federation.yaml")
    return {Path(name): text for name, text in rendered(load(ROOT / settings), DEFAULT_RUN, settings.name).items()}


def _dashboards() -> Made:
    from fedmol_dashboards.dashboards import dashboards

    return {Path("docker/grafana/dashboards") / name: text for name, text in dashboards().items()}


def _charts() -> Made:
    from k8s.charts import generated

    return generated()


def _manifests() -> Made:
    """In a process of its own: the runtime of Helm's library does not share one with torch in peace."""
    from k8s.plain_manifests import manifests

    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(manifests).result(timeout=300)


def _interface() -> Made:
    from fedmol.sidecar.app import interface

    return {Path("docs/sidecar/openapi.json"): interface()}


def _events() -> Made:
    from tools import events_page

    return {Path("docs/events.md"): events_page.page()}


def _plan() -> Made:
    from fedmol.fl.federation import load
    from fedmol_collaborator.openfl_adapter.plan import as_yaml

    return {Path("docs/openfl-plan.yaml"): as_yaml(load(ROOT / "federation.yaml"))}


def _what_leaves() -> Made:
    from fedmol_collaborator import outbound_fields

    found = {path: _read(ROOT / path) or "" for path in _documents()}
    made = {path: outbound_fields.page_of(text) for path, text in found.items() if outbound_fields.BEGIN in text}
    if not made:
        raise ValueError(f"no document has a place for the table of what leaves a site: {outbound_fields.BEGIN}")
    return made


def _documents() -> Iterator[Path]:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        yield path.relative_to(ROOT)


def _results() -> Made:
    from benchmarks import digests, substances
    from benchmarks.federation import page as federation
    from benchmarks.reading import page as reading
    from benchmarks.security import page as security
    from benchmarks.soak import page as soak

    pages = {
        "digests.md": digests.render(_figures("digests.json")),
        "federation.md": federation.render(federation.load()),
        "reading.md": reading.render(_figures("reading.json")),
        "security.md": security.render(security.load()),
        "soak.md": soak.render(soak.load()),
        "substances.md": substances.render(_figures("substances.json")),
    }
    return {RESULTS / name: text for name, text in pages.items()}


def _figures(name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((ROOT / RESULTS / name).read_text())
    return found


def _gpu() -> Made:
    from benchmarks.gpu import page

    figures = page.load()
    return {
        RESULTS / "gpu.md": page.page_of(figures),
        Path("README.md"): page.readme_of(page.README.read_text(), figures),
    }


SOURCES = (
    Source("federation.yaml", _rendered, ("docker/prometheus/targets/*", "k8s/values/*")),
    Source("dashboards", _dashboards, ("docker/grafana/dashboards/*",)),
    Source("charts", _charts, ("k8s/*/templates/shared/*", "k8s/*/files/**/*")),
    Source("manifests", _manifests, ("k8s/manifests/**/*",)),
    Source("the sidecar's interface", _interface),
    Source("kinds of events", _events),
    Source("OpenFL's plan", _plan),
    Source("what leaves a site", _what_leaves),
    Source("pages of results", _results),
    Source("figures of a GPU", _gpu),
)


def main(arguments: Sequence[str], root: Path = ROOT, sources: Sequence[Source] = SOURCES) -> int:
    """The exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    found = 0
    for source in sources:
        for path, text in source.stale(root).items():
            print(f"{path} ({source.name})")
            found += 1
            if not arguments:
                _put(root / path, text)
    if arguments and found:
        print(f"{found} stale: run make generate", file=sys.stderr)
        return 1
    return 0


def _put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
