"""Laplacian features of the reference: components, lowest eigenvalues and eigenvectors."""

from __future__ import annotations

import torch
from torch import Tensor

EIGENVALUES = 5
EIGENVECTORS = 2
FILLER = 2.0  # stands for eigenvalues that a small graph does not have


def spectral_features(adjacency: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Node features (B, N, 3) and graph features (B, 6) of graphs with `adjacency` (B, N, N) and `mask` (B, N).

    Nodes: 1 outside the largest connected components, then the first two non-trivial eigenvectors. Graphs: number of
    components, then the five smallest non-zero eigenvalues divided by the number of nodes. Unlike the reference, the
    flag comes from reachability instead of a rounded eigenvector and random numbers, an eigenvector's sign is the one
    that makes the sum of its cubes positive, and slots outside a graph have no influence.
    """
    n = mask.sum(1)
    width = mask.shape[1]
    real = mask.float()
    degree = adjacency.sum(-1) + (1 - real) * 2 * width
    values, vectors = torch.linalg.eigh(torch.diag_embed(degree) - adjacency)
    column = torch.arange(width, device=mask.device)
    values = torch.where(column < n[:, None], values / n[:, None], FILLER)
    components = (values < 1e-5).sum(1)
    values = torch.cat([values, values.new_full((len(n), EIGENVALUES + width), FILLER)], 1)
    lowest = values.gather(1, components[:, None] + torch.arange(EIGENVALUES, device=mask.device))
    vectors = vectors * real[:, :, None] * (column < n[:, None])[:, None, :]
    vectors = torch.cat([vectors, vectors.new_zeros(len(n), width, EIGENVECTORS)], 2)
    chosen = (components[:, None] + torch.arange(EIGENVECTORS, device=mask.device))[:, None].expand(-1, width, -1)
    first = vectors.gather(2, chosen)
    first = first * torch.where(first.pow(3).sum(1, keepdim=True) < 0, -1.0, 1.0)
    nodes = torch.cat([_outside_largest(adjacency, mask)[..., None], first], -1)
    return nodes, torch.cat([components[:, None].float(), lowest], -1)


def _outside_largest(adjacency: Tensor, mask: Tensor) -> Tensor:
    """1 for nodes whose connected component is smaller than the largest one, (B, N)."""
    reach = adjacency + torch.eye(adjacency.shape[1], device=adjacency.device)
    for _ in range(max(1, (adjacency.shape[1] - 1).bit_length())):
        reach = (reach @ reach > 0).float()
    size = reach.sum(-1) * mask
    return ((size < size.amax(1, keepdim=True)) & mask).float()
