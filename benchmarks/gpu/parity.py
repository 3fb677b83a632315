"""Does the device compute what the processor computes? Everything is compared with float32 on the processor."""

from __future__ import annotations

import warnings
from collections import Counter

import torch
from torch import Tensor

from benchmarks.gpu.context import Context
from benchmarks.gpu.molecules import Molecules
from fedmol.diffusion import Census, Logits, NoiseModel, add_noise, loss, sample, stratified_times
from fedmol.diffusion.samplers import ANCESTRAL, FEW_STEP
from fedmol.execution import EAGER, NAMES
from fedmol.graphs import Graphs
from fedmol.models import PRESETS, Denoiser
from fedmol.models.digress import Residual
from fedmol.models.spectrum import EIGENVECTORS
from fedmol.training import (
    TrainingConfig,
    build_optimizer,
    flatten,
    load_optimizer_tensors,
    optimizer_tensors,
    sealed_tensors,
)

_CPU = torch.device("cpu")
_STEPS = 12  # of the trainings that are compared
_LEARNING_STEPS = 120
_POOL = 8  # times the molecules that are compared, to choose from


def run(context: Context) -> None:
    """The stage: each comparison is an entry of its own, with what it is to stay below where that is known."""
    for preset in PRESETS:
        context.attempt(f"parity of {preset}", _network, preset)
    context.attempt("parity of the samplers", _samplers)
    context.attempt("resuming a training", _resume)
    context.attempt("a training that learns", _learning)
    context.attempt("waits", _waits)
    _executions(context, compiled=False)


def run_compiled(context: Context) -> None:
    """A stage of its own, late in a run: compiling takes long, unless a stage before has done it."""
    _executions(context, compiled=True)


def _executions(context: Context, compiled: bool) -> None:
    for name in (name for name, execution in NAMES.items() if execution.compiled == compiled):
        if name in context.available_executions():
            context.attempt(f"execution {name}", _execution, name)
        else:
            context.skip(f"execution {name}", str(context.lacks(name)))


def difference(found: Tensor, expected: Tensor) -> float:
    """The norm of what differs, as a share of the norm of what is expected."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


def _network(context: Context, preset: str) -> None:
    """Logits, loss and gradients of the same noisy molecules, in float32 and in what the device does by default."""
    noise, some = context.molecules.noise, context.generator(7, _CPU)
    pool = _POOL * context.size.parity_batch
    clean = context.molecules.training[torch.randperm(len(context.molecules.training), generator=some)[:pool]]
    generator = context.generator(0, _CPU)
    times = stratified_times(len(clean), 0, noise.steps, generator, _CPU)
    noisy = add_noise(clean, times, noise, generator)
    rows = well_posed(noisy) if preset == "digress" else torch.arange(len(clean))
    rows = rows[: context.size.parity_batch]
    clean, noisy, times = clean[rows], noisy[rows], times[rows]
    expected = _computed(context.fresh(preset, _CPU), clean, noisy, times, noise, exact=True)
    for exact, precision, bound in ((True, "float32", 1e-3), (False, "bfloat16", 0.15)):
        place = context.device
        found = _computed(
            context.fresh(preset), clean.to(place), noisy.to(place), times.to(place), noise.to(place), exact
        )
        differences = {name: difference(found[name], expected[name]) for name in expected}
        good = all(value < bound for value in differences.values())
        of = {"preset": preset, "precision": precision, "molecules": len(clean)}
        context.record.add("parity", **of, bound=bound, good=good, **differences)


def well_posed(graphs: Graphs) -> Tensor:
    """Rows of the graphs whose spectral features are the same in every library: no two equal eigenvalues, and signs."""
    mask = graphs.atom_mask
    adjacency = (graphs.bonds > 0).double()
    degree = adjacency.sum(-1) + (~mask).double() * 2 * graphs.width
    values, vectors = torch.linalg.eigh(torch.diag_embed(degree) - adjacency)
    components = (values < 1e-5).sum(1, keepdim=True)
    used = components + torch.arange(EIGENVECTORS)  # (B, 2) which eigenvectors the features show
    fits = used[:, -1] + 1 < graphs.counts
    used = used.clamp(max=graphs.width - 2)
    gaps = torch.minimum(
        values.gather(1, used) - values.gather(1, used - 1), values.gather(1, used + 1) - values.gather(1, used)
    )
    cubes = (vectors * mask[:, :, None]).pow(3).sum(1).gather(1, used).abs()
    clear: Tensor = fits & (gaps > 0.01).all(1) & (cubes > 0.01).all(1)
    return clear.nonzero()[:, 0]


def _computed(
    denoiser: Denoiser, clean: Graphs, noisy: Graphs, times: Tensor, noise: NoiseModel, exact: bool
) -> dict[str, Tensor]:
    denoiser.exact = exact
    for stream in (module for module in denoiser.modules() if isinstance(module, Residual)):
        stream.dropout = 0.0
    logits: Logits = denoiser(noisy.atoms, noisy.bonds, noisy.counts, (times / noise.steps).float())
    value = loss(logits, clean)
    torch.autograd.backward(value)
    gradients = [p.grad.flatten() for p in denoiser.parameters() if p.grad is not None]
    return {
        "logits": torch.cat([logit.detach().flatten() for logit in logits]),
        "loss": value.detach()[None],
        "gradients": torch.cat(gradients),
    }


def _samplers(context: Context) -> None:
    """One draw's distribution exactly, and what both samplers make of noise as far as chance lets it be compared."""
    noise, k = context.molecules.noise, context.molecules.atom_types
    generator = context.generator(1, _CPU)
    logits, noisy = torch.randn(64, 9, k, generator=generator), torch.randint(k, (64, 9), generator=generator)
    for sampler in (ANCESTRAL, FEW_STEP):
        distributions = []
        for place in (_CPU, context.device):
            there = noise.to(place)
            kept = there.alphas_bar[torch.tensor([99, 100], device=place)].float()
            marginal = there.atom_marginal.float()
            given = logits.to(place), noisy.to(place), kept[:1], kept[1:], marginal
            distributions.append(sampler.atoms.distribution(*given))
        error = difference(distributions[1], distributions[0])
        context.record.add("posterior", sampler=sampler.name, difference=error, bound=1e-5, good=error < 1e-5)
    count, made = context.size.sampled, []
    for place in (_CPU, context.device):
        model = context.trained(place)
        made.append(sample(model.denoiser, model.noise, count, context.generator(2, place), steps=15).to(_CPU))
    shares = [_shares(graphs, context.molecules) for graphs in made]
    distances = {name: float((shares[0][name] - shares[1][name]).abs().sum() / 2) for name in shares[0]}
    bound = 4 / count**0.5
    good = max(distances.values()) < bound
    context.record.add("sampled_alike", samples=count, bound=bound, good=good, **distances)


def _shares(graphs: Graphs, molecules: Molecules) -> dict[str, Tensor]:
    census = Census.take(graphs, molecules.atom_types, molecules.bond_types, molecules.max_atoms)
    return {name: counts.double() / counts.sum() for name, counts in vars(census).items()}


def _execution(context: Context, name: str) -> None:
    """The same training steps and the same sampling, however they are executed; captured ones to the byte."""
    vectors, molecules, execution = [], [], NAMES[name]
    config = TrainingConfig(batch_size=context.size.parity_batch)
    for how in (EAGER, execution):
        denoiser = context.fresh("base")
        how.prepare(denoiser)
        context.train(denoiser, config, _STEPS, execution=how)
        vectors.append(torch.from_numpy(flatten(denoiser)))
        noise = context.molecules.noise.to(context.device)
        count = 6 * context.size.parity_batch  # parts enough for steps that are replayed
        made = sample(
            denoiser, noise, count, context.generator(4), 8, batch_size=context.size.parity_batch, execution=how
        )
        molecules.append(made)
    same = float((molecules[0].atoms == molecules[1].atoms).all(1).float().mean())
    error, bound = difference(vectors[1], vectors[0]), 0.05 if execution.compiled else 1e-3
    context.record.add("execution", name=name, weights=error, same_molecules=same, bound=bound, good=error <= bound)


def _resume(context: Context) -> None:
    """Twelve steps in a row, and six, a file, and six more."""
    whole, half, config = context.fresh("base"), context.fresh("base"), TrainingConfig(batch_size=32)
    context.train(whole, config, _STEPS)
    optimizer = build_optimizer(half, config)
    context.train(half, config, _STEPS // 2, total=_STEPS, optimizer=optimizer)
    path = context.folder / "half.safetensors"
    weights = sealed_tensors.prefixed("weight.", half.state_dict())
    sealed_tensors.save(path, weights | sealed_tensors.prefixed("optimizer.", optimizer_tensors(optimizer)), {})
    tensors, _ = sealed_tensors.load(path)
    path.unlink()
    resumed = context.fresh("base")
    resumed.load_state_dict(sealed_tensors.without_prefix("weight.", tensors))
    optimizer = build_optimizer(resumed, config)
    load_optimizer_tensors(optimizer, sealed_tensors.without_prefix("optimizer.", tensors))
    context.train(resumed, config, _STEPS // 2, first=_STEPS // 2, optimizer=optimizer)
    error = difference(torch.from_numpy(flatten(resumed)), torch.from_numpy(flatten(whole)))
    same = flatten(resumed).tobytes() == flatten(whole).tobytes()
    context.record.add("resume", weights=error, same_bytes=same, bound=1e-3, good=error <= 1e-3)


def _learning(context: Context) -> None:
    """A short training lowers the loss."""
    steps, losses = 40 if context.small else _LEARNING_STEPS, list[float]()
    config = TrainingConfig(batch_size=context.size.parity_batch)
    context.train(context.fresh("small"), config, steps, on_step=lambda report: losses.append(report.loss))
    context.record.add("learning", steps=steps, first=losses[0], last=losses[-1], good=losses[-1] < losses[0])


def _waits(context: Context) -> None:
    """Where the host waits for the device within training steps."""
    if context.device.type != "cuda":
        context.skip("waits", "no CUDA device")
        return
    waits = [_waits_in(context, steps) for steps in (6, 12)]
    six = waits[1] - waits[0]  # what comes with the training as a whole is in both
    context.record.add("waits", steps=6, times=six.total(), places=sorted(six))


def _waits_in(context: Context, steps: int) -> Counter[str]:
    """Where the host waits in a training of so many steps, and how often."""
    denoiser, config = context.fresh("base"), TrainingConfig(batch_size=context.size.parity_batch)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            context.train(denoiser, config, steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return Counter(f"{warning.filename.rpartition('/fedmol/')[2]}:{warning.lineno}" for warning in caught)
