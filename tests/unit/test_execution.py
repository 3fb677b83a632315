from __future__ import annotations

import shutil
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from fedmol import execution
from fedmol.diffusion import Census, Conditions, NoiseModel, loss, posterior, sample
from fedmol.diffusion.denoising import Denoises
from fedmol.diffusion.guidance import ClassifierFree
from fedmol.diffusion.inpainting import Fragment, Inpainting
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP, Sampler
from fedmol.errors import Exit, FedmolError
from fedmol.execution import EAGER, NAMES, WARM_UP, Capture, Execution, execution_named
from fedmol.fl.local_methods import LocalMethod, OnGradient, Vectors
from fedmol.fl.local_methods.fedprox import FedProx
from fedmol.fl.local_methods.scaffold import Scaffold
from fedmol.fl.payload import CONTROL, MODEL
from fedmol.graphs import Graphs
from fedmol.models import Denoiser, build, denoiser, inputs
from fedmol.models.digress import Residual
from fedmol.models.pair_layout import unordered_pairs
from fedmol.settings import ExecutionName
from fedmol.training import TrainingConfig, batches, build_optimizer, flatten, loop, muon, train
from fedmol.training.batches import DeviceBatches
from fedmol.training.local_round import LocalRound
from fedmol.training.ranks import ALONE
from tests.support.stand_ins import GpuCasting, NoWaits, at_once, taped

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CONFIG = TrainingConfig(batch_size=16)


def molecules(least: int = 3) -> Graphs:
    """Trees and rings of `least` to 9 atoms, as random as they come."""
    generator = Generator().manual_seed(0)
    counts = torch.randint(least, 10, (40,), generator=generator)
    atoms = torch.randint(4, (40, 9), generator=generator)
    bonds = torch.randint(5, (40, 9, 9), generator=generator).triu(1)
    graphs = Graphs(atoms.to(torch.int8), (bonds + bonds.mT).to(torch.int8), counts)
    return Graphs(graphs.atoms * graphs.atom_mask, graphs.bonds * graphs.pair_mask, counts)


GRAPHS = molecules()
NOISE = NoiseModel.from_census(Census.take(GRAPHS, 4, 5, 9))
# Two forms of a ring of three atoms, of which one may have further bonds.
RING = Fragment(
    torch.tensor([0, 1, 0]),
    torch.tensor([[[0, 1, 2], [1, 0, 1], [2, 1, 0]], [[0, 2, 1], [2, 0, 1], [1, 1, 0]]]),
    torch.tensor([True, True, False]),
)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_on_side_stream", at_once)
    monkeypatch.setattr(execution, "_captured", taped)


@pytest.fixture
def like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, precision and one-hot codes as on a GPU, where the last are not checked first."""
    monkeypatch.setattr(loop, "batches_of", DeviceBatches)
    for module in (denoiser, muon):
        monkeypatch.setattr(module, "bfloat16_pays", lambda device: True)
    for module in (inputs, posterior):
        monkeypatch.setattr(module, "one_hot", lambda codes, k: (codes[..., None] == torch.arange(k)).long())


def trained(
    how: Execution,
    first: int = 0,
    last: int = 12,
    of: Denoiser | None = None,
    on_gradient: OnGradient | None = None,
    on: Graphs = GRAPHS,
) -> tuple[Denoiser, float]:
    model = of or build("small", 4, 5, 9, seed=0, layers=1)
    optimizer = build_optimizer(model, CONFIG)
    optimizer.keep_on_device()
    numbers = {"first_step": first, "steps": last - first, "total_steps": 20, "on_gradient": on_gradient}
    generator = Generator().manual_seed(3)
    report = train(model, optimizer, NOISE, on, **numbers, config=CONFIG, generator=generator, execution=how)  # type: ignore[arg-type]
    return model, report.last_loss


def test_settings_know_every_execution() -> None:
    assert set(get_args(ExecutionName)) == {"auto", *NAMES}


def test_auto_is_the_fastest_that_can_be_had() -> None:
    assert execution_named("auto", CUDA) == NAMES["graphs"]
    assert execution_named("auto", CPU) == EAGER
    assert execution_named("auto", CUDA, only_eager=True) == EAGER
    assert execution_named("auto", CUDA, processes=2) == EAGER


@pytest.mark.parametrize(
    ("name", "device", "only_eager", "processes", "reason", "cure"),
    [
        ("graphs", CPU, False, 1, "NVIDIA GPU", "auto or eager"),
        ("compiled-graphs", CPU, False, 1, "NVIDIA GPU", "auto or compiled"),
        ("graphs", CUDA, False, 2, "2 training processes", "auto or eager"),
        ("graphs", CUDA, True, 1, "digress", "auto or eager"),
        ("compiled", CUDA, True, 1, "digress", "auto or eager"),
    ],
)
def test_what_cannot_be_had_is_refused(
    name: str, device: torch.device, only_eager: bool, processes: int, reason: str, cure: str
) -> None:
    with pytest.raises(FedmolError) as refused:
        execution_named(name, device, only_eager=only_eager, processes=processes)
    assert refused.value.exit is Exit.BAD_SETTINGS
    assert name in refused.value.message
    assert reason in refused.value.message
    assert cure in refused.value.cure


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda command: "/usr/bin/gcc" if command == "gcc" else None)
    assert execution_named("compiled", CUDA) == NAMES["compiled"]
    with pytest.raises(FedmolError) as refused:
        execution_named("compiled", CPU)
    assert "g++ or clang++" in refused.value.message
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": "/nowhere"})
    with pytest.raises(FedmolError) as refused:
        execution_named("compiled", CUDA)
    assert "Python.h" in refused.value.message


@pytest.mark.usefixtures("captures")
def test_a_capture_does_its_work_once_a_call_on_the_inputs_of_that_call() -> None:
    total, generator = torch.zeros(()), Generator()

    def work(x: Tensor) -> tuple[Tensor, ...]:
        total.add_(x)
        return (total * 2, torch.rand((), generator=generator))

    capture = Capture(work, generator)
    for call in range(1, WARM_UP + 5):
        generator.manual_seed(call)
        doubled, drawn = capture(torch.tensor(float(call)))
        assert total == call * (call + 1) / 2
        assert doubled == 2 * total
        assert drawn == torch.rand((), generator=Generator().manual_seed(call))


@pytest.mark.usefixtures("captures", "like_a_gpu")
def test_captured_steps_are_the_steps_themselves() -> None:
    """The learning rate, the seeds and the optimiser's counters reach a replay without the help of Python."""
    eager, captured = trained(EAGER)[0], trained(NAMES["graphs"])[0]
    assert flatten(captured).tobytes() == flatten(eager).tobytes()


@pytest.mark.usefixtures("captures", "like_a_gpu")
@pytest.mark.parametrize("method", [Scaffold(name="scaffold"), FedProx(name="fedprox", mu=0.1)])
def test_what_a_local_method_does_to_gradients_is_captured_with_the_step(method: LocalMethod) -> None:
    weights, sums = [], []
    for how in (EAGER, NAMES["graphs"]):
        model = build("small", 4, 5, 9, seed=0, layers=1)
        start: Vectors = {MODEL: flatten(model), CONTROL: flatten(model) / np.float32(100)}
        local = LocalRound(method, start)
        weights.append(flatten(trained(how, of=model, on_gradient=local.begin(model))[0]))
        sums.append([vector.tobytes() for vector in local.so_far().values()])
    assert weights[0].tobytes() == weights[1].tobytes() != flatten(trained(EAGER)[0]).tobytes()
    assert sums[0] == sums[1]


@pytest.mark.usefixtures("captures", "like_a_gpu")
def test_a_captured_step_that_diverges_changes_nothing() -> None:
    model = build("small", 4, 5, 9, seed=0, layers=1)
    watched = flatten(trained(EAGER, last=8, of=model)[0])
    calls = 0

    def spoil(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal calls
        calls += 1

    model.register_forward_pre_hook(spoil)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.inf)
    before = flatten(model)
    with pytest.raises(FedmolError) as refused:
        trained(NAMES["graphs"], first=8, last=16, of=model)
    assert refused.value.exit is Exit.DIVERGED
    assert "step 8" in refused.value.message
    assert calls <= WARM_UP + 1
    assert flatten(model).tobytes() == before.tobytes() != watched.tobytes()


@pytest.mark.usefixtures("captures", "like_a_gpu")
def test_captured_steps_tell_and_drop_properties_as_steps_do() -> None:
    told = replace(GRAPHS, properties=torch.randn(40, 2, generator=Generator().manual_seed(0)))
    weights = [
        flatten(trained(how, of=build("small", 4, 5, 9, seed=0, layers=1, properties=2), on=graphs)[0]).tobytes()
        for how in (EAGER, NAMES["graphs"])
        for graphs in (told, GRAPHS)
    ]
    assert weights[0] == weights[2] != weights[1] == weights[3]


@pytest.mark.usefixtures("captures")
@pytest.mark.parametrize("scaffold", [False, True])
def test_captured_sampling_takes_each_part_s_own_conditions(scaffold: bool) -> None:
    model: Denoises = build("small", 4, 5, 9, seed=0, layers=1, properties=2)
    model = Inpainting(model, RING) if scaffold else model
    table = 9 * torch.randn(50, 2, generator=Generator().manual_seed(2))
    made = [
        sample(
            model,
            NOISE,
            50,
            Generator().manual_seed(1),
            8,
            batch_size=10,
            execution=how,
            conditions=Conditions.of(asked),
            guidance=ClassifierFree((1.0, 0.5)),
        )
        for how, asked in ((EAGER, table), (NAMES["graphs"], table), (EAGER, -table))
    ]
    assert torch.equal(made[0].atoms, made[1].atoms)
    assert torch.equal(made[0].bonds, made[1].bonds)
    assert not torch.equal(made[0].atoms, made[2].atoms)


@pytest.mark.usefixtures("captures")
@pytest.mark.parametrize("sampler", [FEW_STEP, ANCESTRAL])
@pytest.mark.parametrize("scaffold", [False, True])
def test_captured_sampling_makes_the_same_molecules(sampler: Sampler, scaffold: bool) -> None:
    model: Denoises = build("small", 4, 5, 9, seed=0, layers=1)
    model = Inpainting(model, RING) if scaffold else model
    made = [
        sample(model, NOISE, 50, Generator().manual_seed(1), 8, batch_size=10, sampler=sampler, execution=how)
        for how in (EAGER, NAMES["graphs"])
    ]
    assert torch.equal(made[0].atoms, made[1].atoms)
    assert torch.equal(made[0].bonds, made[1].bonds)
    assert made[0].atoms.any()


@pytest.mark.usefixtures("like_a_gpu")
@pytest.mark.parametrize("properties", [0, 2])
def test_no_part_of_a_step_waits_for_the_device(properties: int) -> None:
    told = replace(GRAPHS, properties=torch.randn(40, properties)) if properties else GRAPHS
    model, _ = trained(EAGER, last=1, of=build("small", 4, 5, 9, seed=0, layers=1, properties=properties), on=told)
    optimizer = build_optimizer(model, CONFIG)
    optimizer.keep_on_device()
    source = batches.DeviceBatches(told, NOISE, 16, dropout=0.1)
    source.seed(0)
    outcomes = loop._Outcomes(16, CPU)
    with NoWaits():
        optimizer.zero_grad()
        value, norm = loop._gradients(model, list(model.parameters()), NOISE.steps, source.draw(), 1.0, ALONE)
        optimizer.step(outcomes.unsound_with(value, norm))
        outcomes.add(value, norm)


@pytest.mark.usefixtures("captures", "like_a_gpu")
@pytest.mark.parametrize("scaffold", [False, True])
def test_no_step_of_sampling_waits_for_the_device(scaffold: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(work: execution.Work, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with NoWaits():
            return work(*given)

    monkeypatch.setattr(execution, "_on_side_stream", watched)
    model: Denoises = build("small", 4, 5, 9, seed=0, layers=1, properties=2)
    model = Inpainting(model, RING) if scaffold else model
    for width in range(2, 10):
        unordered_pairs(width, CPU)  # index maps are made once for each size
    generator, how = Generator().manual_seed(1), NAMES["graphs"]
    assert len(sample(model, NOISE, 20, generator, 2, execution=how)) == 20
    told, guidance = Conditions.of(torch.randn(20, 2)), ClassifierFree((1.0, 0.5))
    assert len(sample(model, NOISE, 20, generator, 2, execution=how, conditions=told, guidance=guidance)) == 20


@pytest.mark.usefixtures("like_a_gpu")
@pytest.mark.parametrize("preset", ["small", "digress"])
def test_gradients_hold_under_a_gpus_rules_of_casting(preset: str) -> None:
    model = build(preset, 4, 5, 9, seed=0, layers=2)
    for stream in (module for module in model.modules() if isinstance(module, Residual)):
        stream.dropout = 0.0
    gradients = []
    for exact in (True, False):
        model.exact = exact
        model.zero_grad()
        with GpuCasting():
            value = loss(model(GRAPHS.atoms, GRAPHS.bonds, GRAPHS.counts, torch.full((40,), 0.3)), GRAPHS)
            torch.autograd.backward(value)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert 0 < (gradients[1] - gradients[0]).norm() < 0.1 * gradients[0].norm()


@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",  # all of torch.compile but the last step, in which a C++ compiler makes kernels for minutes
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.long,
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler"),
            ],
        ),
    ],
)
@pytest.mark.filterwarnings("default")  # torch warns of itself
def test_compiled_blocks_train_as_eager_ones_do(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compiling changes is the order of roundings: in float32 nearly nothing."""
    compiled: list[object] = []

    def by_backend(function: object, **asked: object) -> object:
        compiled.append(function)
        return compiling(function, backend=backend, **asked)  # type: ignore[call-overload]

    compiling = torch.compile
    monkeypatch.setattr(torch, "compile", by_backend)
    losses: list[float] = []
    alike = molecules(least=9)  # blocks are compiled once for each number of atoms
    for how in (EAGER, NAMES["compiled"]):
        model = build("small", 4, 5, 9, seed=0, layers=1)
        model.exact = True
        names = list(model.state_dict())
        how.prepare(model)
        assert list(model.state_dict()) == names
        losses.append(trained(how, last=4, of=model, on=alike)[1])
    assert len(compiled) == 1
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
