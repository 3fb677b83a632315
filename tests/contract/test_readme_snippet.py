"""The Python that the README shows runs as it stands there, without data and without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_it_runs_and_prints_molecules(tmp_path: Path) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    shown, *_ = [one for one in snippets if "import fedmol" in one]
    script = tmp_path / "snippet.py"
    script.write_text(shown)
    environment = {name: value for name, value in os.environ.items() if name != "FEDMOL_DATA"}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.match(r"\d+ valid: \S+ \S+", done.stdout), done.stdout
