"""Two things that only a GPU has, on a processor: captures that replay kernels, and its rules of casting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fedmol.execution import Work


class Tape(TorchDispatchMode):
    """Keeps every operation with its tensors, and does them again on the same tensors: what a CUDA graph does.

    Nothing of Python is repeated, so a number that the host would have to renew for each call stays what it was.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = function(*args, **(kwargs or {}))
        if not _is_view(function) and "empty" not in function.__name__:
            self._operations.append((function, args, kwargs or {}, results))
        return results

    @torch.no_grad()
    def replay(self) -> None:
        for function, args, kwargs, results in self._operations:
            for old, new in zip(tree_leaves(results), tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and old is not new:
                    old.copy_(new)


def _is_view(function: Any) -> bool:
    aliases = [result.alias_info for result in function._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def taped(
    work: Work, inputs: tuple[Tensor, ...], generators: tuple[Generator, ...]
) -> Callable[[], tuple[Tensor, ...]]:
    """In the place of `fedmol.execution._captured`; the capture is itself the first replay."""
    tape, begun = Tape(), False
    outputs: tuple[Tensor, ...] = ()

    def replay() -> tuple[Tensor, ...]:
        nonlocal begun, outputs
        if begun:
            tape.replay()
        else:
            with tape:
                outputs = work(*inputs)
            begun = True
        return outputs

    return replay


def at_once(work: Work, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """In the place of `fedmol.execution._on_side_stream`: a processor has no streams."""
    return work(*inputs)


class GpuCasting(TorchFunctionMode):
    """What autocast does on a GPU beyond matrix products in bfloat16: some functions are computed in float32.

    The list is that of torch's page on automatic mixed precision. Where such a result meets bfloat16 in a function that
    wants one dtype, only a GPU would fail.
    """

    IN_FLOAT32 = (
        *("cumsum", "cumprod", "exp", "layer_norm", "log", "log_softmax", "nll_loss", "norm", "pow", "prod", "sum"),
        *("reciprocal", "rsqrt", "cross_entropy", "softmax", "softplus"),
        *("__pow__", "__rpow__", "__rdiv__", "__rtruediv__"),
    )

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in self.IN_FLOAT32 and torch.is_autocast_enabled("cpu"):
            args = tuple(one.float() if _is_low(one) else one for one in args)
        return function(*args, **(kwargs or {}))


def _is_low(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bfloat16


class NoWaits(TorchDispatchMode):
    """Refuses operations in which a host waits for its GPU: values that it looks at, shapes that depend on them."""

    WAITS = ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select", "unique", "equal", "linalg_eigh")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name.removeprefix("aten::")
        assert not name.startswith(self.WAITS), f"{name} waits for the device"
        if name.startswith("index"):
            picked = [one for one in tree_leaves(args[1:]) if isinstance(one, Tensor)]
            assert all(one.dtype != torch.bool for one in picked), "the shape of a masked choice waits for the device"
        return function(*args, **(kwargs or {}))
