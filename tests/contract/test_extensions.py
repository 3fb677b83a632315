"""How many files an extension touches, by making one: a copy of the library gets a new file, and nothing changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STRATEGY = '''
from __future__ import annotations

from typing import Literal

from fedmol.closed import Closed
from fedmol.fl.payload import Payload, Sections, model_payload
from fedmol.fl.strategies.fedavg import FedAvg


class Halfway(Closed):
    """Half of the way to the mean."""

    name: Literal["halfway"] = "halfway"
    share: float = 0.5

    def payload(self, parameters: int) -> Payload:
        return model_payload(parameters)

    def step(self, payload, current, updates, state):
        mean, state = FedAvg().step(payload, current, updates, state)
        return {name: current[name] + (mean[name] - current[name]) * self.share for name in mean}, state
'''
LOCAL_METHOD = '''
from __future__ import annotations

from typing import Literal

from fedmol.closed import Closed
from fedmol.fl.local_methods.base import Stateless


class Backwards(Stateless, Closed):
    """Climbs."""

    name: Literal["backwards"]

    def before_round(self, start, kept, sums):
        return lambda parameters: [parameter.grad.neg_() for parameter in parameters]
'''
PLAYED = """
import sys
from pathlib import Path

import numpy as np

from fedmol.fl.federation import parse
from tests.support.in_memory import Federation

settings = parse({"sites": [{"name": "a"}, {"name": "b"}], "strategy": {"name": "halfway", "share": 0.25}}, "test")
one = Federation(Path(sys.argv[1]), {"a": 1, "b": 1}, settings.strategy, rounds=1)
before, mean = one.model, (one.trained("a", 1) + one.trained("b", 1)) / 2
one.play(1)
assert one.engine.finished
assert np.allclose(one.model, before + (mean - before) / 4, atol=1e-6)
assert not np.allclose(one.model, mean, atol=1e-6)
"""
TRAINED = """
import torch

from fedmol.fl.federation import parse
from fedmol.training.local_round import LocalRound
from fedmol.training.parameter_vector import flatten

settings = parse({"sites": [{"name": "a"}], "local_method": "backwards"}, "test")
model = torch.nn.Linear(3, 1)
on_gradient = LocalRound(settings.local_method, {"model": flatten(model)}, {}).begin(model)
model(torch.ones(3)).sum().backward()
before = model.weight.grad.clone()
on_gradient(list(model.parameters()))
assert torch.equal(model.weight.grad, -before)
"""


def _link(source: str, target: str) -> None:
    os.symlink(os.path.abspath(source), target)


@pytest.mark.parametrize(
    ("place", "text", "used"),
    [
        ("fl/strategies/halfway.py", STRATEGY, PLAYED),
        ("fl/local_methods/backwards.py", LOCAL_METHOD, TRAINED),
    ],
    ids=["strategy", "local-method"],
)
def test_an_algorithm_is_one_file(tmp_path: Path, place: str, text: str, used: str) -> None:
    """Settings know it by its name, and the round engine or the training uses it."""
    ignored = shutil.ignore_patterns("__pycache__")
    library = shutil.copytree(ROOT / "shared" / "fedmol", tmp_path / "fedmol", ignore=ignored, copy_function=_link)
    (Path(library) / place).write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", used, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("class Halfway(Closed)", "class Halfway", "halfway.Halfway does not derive from fedmol.closed.Closed"),
        ('Literal["halfway"]', "str", "halfway.Halfway has no field name with a Literal"),
    ],
)
def test_an_algorithm_that_cannot_be_found_says_why(tmp_path: Path, before: str, after: str, said: str) -> None:
    (tmp_path / "found_by_looking").mkdir()
    (tmp_path / "found_by_looking" / "halfway.py").write_text(STRATEGY.replace(before, after))
    look = "algorithms_in('found_by_looking', ['found_by_looking'], 'step')"
    code = f"from fedmol.fl.algorithms import algorithms_in; {look}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
