"""What the network of DiGress sees of a noisy graph besides its one-hot codes (its setting `extra_features: all`).

Written for reading: one formula per line, nothing shared with `fedmol.models`. Faults of the reference that cost no
time are mended as preset `digress` mends them (ADR 7), so that both can be compared on the same weights: the 5-cycle
count, the weight of empty slots, the flag of the largest component, and the eigenvectors' signs.
"""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHTS = torch.tensor([12.0, 14.0, 16.0, 19.0])  # C N O F
HEAVIEST = 150.0
NODE_EXTRAS, GLOBAL_EXTRAS = 8, 13
EIGENVALUES, EIGENVECTORS = 5, 2


def extra_features(x: Tensor, e: Tensor, mask: Tensor, time: Tensor, max_atoms: int) -> tuple[Tensor, Tensor]:
    """Node features (B, N, 8) and graph features (B, 13) of one-hot `x` (B, N, a) and `e` (B, N, N, b)."""
    adjacency = e[..., 1:].sum(-1)  # (B, N, N)
    n = mask.sum(1, keepdim=True)  # (B, 1)
    node_cycles, graph_cycles = cycles(adjacency)
    eigenvectors, components, eigenvalues = spectrum(adjacency, mask)
    valency = e.argmax(-1).sum(-1)  # (B, N), class indices in the place of bond orders, as in the reference
    charge = x.argmax(-1) - valency
    weight = (x @ WEIGHTS.to(x.device)).sum(1, keepdim=True) / HEAVIEST
    outside = outside_largest(adjacency, mask)
    nodes = [(node_cycles / 10).clamp(max=1), outside[..., None], eigenvectors, charge[..., None], valency[..., None]]
    graph = [n / max_atoms, (graph_cycles / 10).clamp(max=1), components, eigenvalues, weight, time[:, None]]
    return torch.cat(nodes, -1) * mask[..., None], torch.cat(graph, -1)


def cycles(a: Tensor) -> tuple[Tensor, Tensor]:
    """3-, 4- and 5-cycles through each node (B, N, 3), 3- to 6-cycles in each graph (B, 4) (Harary & Manvel 1971)."""
    powers = [a]
    for _ in range(5):
        powers.append(powers[-1] @ a)
    _, a2, a3, a4, a5, a6 = powers
    d, d3, d4, d5, d6 = (power.diagonal(dim1=1, dim2=2) for power in (a2, a3, a4, a5, a6))  # (B, N)

    def neighbours(value: Tensor) -> Tensor:
        return torch.einsum("bij,bj->bi", a, value)

    three = d3 / 2
    four = (d4 - d * (d - 1) - neighbours(d)) / 2
    five = (d5 - 2 * torch.einsum("bij,bij,bj->bi", a, a2, d) - 2 * d * d3 - neighbours(d3) + 5 * d3) / 2
    six = (
        d6.sum(1)
        - 3 * (d3**2).sum(1)
        + 9 * (a * a2**2).sum((1, 2))
        - 6 * (d * d4).sum(1)
        + 6 * d4.sum(1)
        - 4 * d3.sum(1)
        + 4 * (d**3).sum(1)
        + 3 * a3.sum((1, 2))
        - 12 * (d**2).sum(1)
        + 4 * d.sum(1)
    ) / 12
    graph = [three.sum(1) / 3, four.sum(1) / 4, five.sum(1) / 5, six]
    return torch.stack([three, four, five], -1), torch.stack(graph, -1)


def spectrum(adjacency: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First two non-trivial eigenvectors of the Laplacian (B, N, 2), number of components (B, 1), five eigenvalues."""
    slots = mask.shape[1]
    n = mask.sum(1, keepdim=True)
    laplacian = torch.diag_embed(adjacency.sum(-1) + 2.0 * slots * ~mask) - adjacency  # empty slots come last
    values, vectors = torch.linalg.eigh(laplacian)
    exists = torch.arange(slots, device=mask.device) < n  # (B, N), in order of eigenvalues
    values = torch.where(exists, values / n, 2.0)
    components = (values < 1e-5).sum(1, keepdim=True)
    values = torch.nn.functional.pad(values, (0, EIGENVALUES + slots), value=2.0)
    vectors = torch.nn.functional.pad(vectors * mask[..., None] * exists[:, None], (0, EIGENVECTORS))
    lowest = values.gather(1, components + torch.arange(EIGENVALUES, device=mask.device))
    columns = components + torch.arange(EIGENVECTORS, device=mask.device)  # (B, 2)
    first = vectors.gather(2, columns[:, None].expand(-1, slots, -1))
    upright = torch.where((first**3).sum(1, keepdim=True) < 0, -1.0, 1.0)
    return first * upright, components.float(), lowest


def outside_largest(adjacency: Tensor, mask: Tensor) -> Tensor:
    """1 for atoms of a connected component that is smaller than the largest one, (B, N)."""
    own = torch.eye(mask.shape[1], device=mask.device)
    reached = torch.linalg.matrix_power(adjacency + own, max(1, mask.shape[1] - 1)) > 0
    size = reached.sum(-1) * mask
    smaller: Tensor = size < size.amax(1, keepdim=True)
    return (mask & smaller).float()
