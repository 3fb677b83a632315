"""Whatever lies where the log and the results should be, the sidecar answers, says what is wrong, and stays small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fedmol.run_folder import RunFolder
from fedmol.sidecar.live_page import Page
from fedmol.sidecar.log_watch import Watch
from fedmol.sidecar.molecules import newest
from fedmol.sidecar.prometheus import RunCollector
from fedmol.telemetry.events.site_events import PhaseEntered
from fedmol.telemetry.log import LONGEST_LINE, EventLog
from fedmol.telemetry.tail import LogReader
from tests.support.raw_log import append
from tests.support.story import Story, watching

_MOST = 128 * 10**6  # bytes of the sidecar's memory


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _nothing_to_read(path: Path) -> None:
    path.symlink_to("/dev/zero")


_EXCHANGED = [_folder, _fifo, _link, _dangling, _nothing_to_read]


def _shown(watch: Watch) -> str:
    registry = CollectorRegistry()
    registry.register(RunCollector(watch))
    assert b"fedmol_log_readable" in generate_latest(registry)
    return Page(watch).html()


@pytest.mark.parametrize("put", _EXCHANGED)
def test_what_is_no_log_is_named_and_nothing_is_waited_for(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "events.jsonl")
    watch = Watch(tmp_path)
    watch.look()
    assert watch.reasons
    assert str(tmp_path / "events.jsonl") in watch.reasons[0]
    assert "Waiting for the log" in _shown(watch)


@pytest.mark.parametrize("put", _EXCHANGED)
def test_a_log_that_is_exchanged_in_mid_run_is_named_and_taken_up_again(
    story: Story, put: Callable[[Path], None]
) -> None:
    watch = watching(story.start().gather().play(1).folder)
    kept = story.log.path.rename(story.folder / "kept")
    put(story.log.path)
    watch.look()
    page = _shown(watch)
    assert "Not up to date" in page
    assert "events.jsonl" in page
    os.rmdir(story.log.path) if story.log.path.is_dir() and not story.log.path.is_symlink() else story.log.path.unlink()
    kept.rename(story.log.path)
    watch.catch_up()
    assert watch.reasons == []


@pytest.mark.parametrize("put", _EXCHANGED)
@pytest.mark.parametrize("name", ["evaluation.json", "preview.json", "report.html"])
def test_results_that_are_no_files_are_not_followed(story: Story, name: str, put: Callable[[Path], None]) -> None:
    put(story.start().folder / name)
    watch = watching(story.folder)
    page = _shown(watch)
    assert "Read the report" not in page
    assert watch.molecules.molecules == []
    if name == "report.html":
        with pytest.raises(OSError, match=r"."):
            watch.read_report()
    else:
        assert f"{name} cannot be used" in page


def test_results_of_any_content_are_shown_or_named(tmp_path: Path) -> None:
    path = tmp_path / "preview.json"
    rate = {"count": 1, "total": 1}
    quality = {"validity": rate, "uniqueness": rate, "novelty": rate}
    right = {
        "round": 1,
        "samples": 1,
        "known": 1,
        "quality": quality,
        "examples": [{"smiles": "C" * 10**6, "novel": True}],
    }
    contents = [b"", b"\xff\x00", b"[" * 200_000, b'{"samples": 1e999}', b"x" * (5 * 2**20)]
    contents += [json.dumps({**right, "samples": 10**400}).encode(), json.dumps({**right, "round": "one"}).encode()]
    for content in contents:
        path.write_bytes(content)
        assert "preview.json cannot be used" in str(newest(RunFolder(tmp_path)).problem)
    path.write_text(json.dumps(right))
    os.utime(path, (9 * 10**9, 9 * 10**9))
    assert newest(RunFolder(tmp_path)).problem is None


def test_lines_that_are_too_long_or_too_deep_are_damaged_ones_and_reading_goes_on(story: Story) -> None:
    path = story.start().gather().log.path
    lines = len(path.read_bytes().splitlines())
    with path.open("ab") as file:
        file.write(b"x" * (3 * LONGEST_LINE) + b"\n" + b"[" * 200_000 + b"\n" + b"\x00\xff\n")
    append(path, "site_lost", site="south", silent_seconds=60.0)
    watch = watching(story.folder)
    assert watch.run.sites["south"].state == "lost"
    view = watch.log_view()
    assert (view.unreadable_lines, view.unreadable_line, view.broken_line) == (3, lines + 1, lines + 1)
    page = _shown(watch)
    assert f"events.jsonl, line {lines + 1}" in page
    found = []
    number = 0
    while number < watch.reader.lines:
        some, number = watch.reader.lines_from(number)
        found += some
    assert len(found) == lines + 4
    assert b"site_lost" in found[-1]


def test_a_line_that_grows_without_end_takes_no_memory_and_reading_goes_on_after_it(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", run="trial", site="north")
    log.write(PhaseEntered(), phase="connecting")
    reader = LogReader(log.path)
    assert len(reader.read()) == 1
    with log.path.open("ab") as file:
        for _ in range(5):
            file.write(b"y" * LONGEST_LINE)
            file.flush()
            while not reader.caught_up or reader.offset < log.path.stat().st_size - LONGEST_LINE:
                assert reader.read() == []
        file.write(b"\n")
    append(log.path, "phase", site="north", phase="training")
    found = [event.phase for _ in range(20) for event in reader.read()]
    assert found == ["training"]
    assert (reader.lines, reader.unreadable) == (3, 1)


_HOSTILE = """
import re, sys
from pathlib import Path
from prometheus_client import CollectorRegistry, generate_latest
from fedmol.sidecar import views
from fedmol.sidecar.app import create_app
from fedmol.sidecar.prometheus import RunCollector
from fedmol.sidecar.live_page import Page
from fedmol.sidecar.log_watch import Watch
watch = Watch(Path(sys.argv[1]))
app, page, registry = create_app(watch), Page(watch), CollectorRegistry()
registry.register(RunCollector(watch))
watch.catch_up()
generate_latest(registry), page.html()
views.sites_view(watch.run, watch.moment).model_dump_json()
print(watch.reader.lines, len(watch.run.sites), len(watch.run.rounds))
# ru_maxrss also knows the parent's
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024)
"""


def _many_of_everything(path: Path) -> None:
    """Sites, rounds, tensors, messages and texts, each in any number, and 500 MB of zeros in one line."""
    head = {"time": "2026-11-27T00:00:00+00:00", "run": "r", "site": "s", "round": None, "phase": None, "previous": ""}
    number = 0
    with path.open("wb") as file:

        def write(kind: str, **said: object) -> None:
            nonlocal number
            file.write(json.dumps({**head, "seq": number, "kind": kind, **said}).encode() + b"\n")
            number += 1

        sites = [f"{k:064d}" for k in range(1000)]
        write("run_started", sites=sites, rounds=10**6, quorum=1, parameters=1, model_bytes=1)
        write("agreement", molecules={}, weights={}, local_steps=1)
        for k in range(3000):
            write("site_refused", site=f"{k:060d}", reason="z" * 60, detail=f"{k:05d}" + "d" * 500)
            write("site_joined", site=f"x{k}", molecules=1)
        figures = dict.fromkeys(sites, 1.5)
        for k in range(300):
            write("round_started", round=k + 1)
            of_sites = {"weights": figures, "site_loss": figures, "site_nll": figures}
            rest = {"seconds": 1.0, "loss": 1.0, "nll": 1.0, "model_digest": "ab"}
            write("round_finished", round=k + 1, sites=sites, missing=sites, **of_sites, **rest)
        for k in range(4000):
            write("site_progress", site=sites[k % 3], round=300, phase=("validating", "training")[k // 3 % 2])
            write("sent", round=1, bytes=1, tensors=[{"name": f"{k:064d}", "shape": [k], "bytes": k}])
            write("message_sent", call=f"{k}", times=1, bytes=1, holds=[f"{k:060d}"] * 100)
        file.write(b'{"deep": ' + b"[[]," * 250_000 + b"\n")
        file.truncate(file.tell() + 500 * 10**6)
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
        write("site_lost", site=sites[0], silent_seconds=60.0)


def test_no_log_makes_the_sidecar_large(tmp_path: Path) -> None:
    _many_of_everything(tmp_path / "events.jsonl")
    uncounted = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    said = subprocess.run(
        [sys.executable, "-c", _HOSTILE, str(tmp_path)],
        env=uncounted,  # whoever counts lines takes memory
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert said.returncode == 0, said.stderr
    counts, peak = said.stdout.splitlines()
    lines, sites, rounds = map(int, counts.split())
    assert (sites, rounds) == (1000, 60)
    assert lines > 18_000
    assert int(peak) < _MOST, f"{int(peak):,} bytes"
