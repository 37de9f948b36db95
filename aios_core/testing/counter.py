"""What code asks of a device, counted on any machine: launches, waits, bytes of large tensors.

A graphics card is idle while the host waits for it and while it has nothing to launch, and busy
with the bytes that each operator reads and writes. None of that needs the card to be counted.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SILENT: Final = {
    "_unsafe_view",
    "empty",
    "empty_like",
    "empty_strided",
    "lift_fresh",
    "new_empty",
    "new_empty_strided",
    "promote_types",
    "resize_",
}
"""Operators that make a tensor and launch nothing; views are known by their schemas."""
WAITS: Final = {
    "_is_all_true",
    "_local_scalar_dense",
    "equal",
    "lift_fresh",
    "masked_select",
    "nonzero",
}
"""Operators after which the host holds a number of the device's, or the device one of the host's
(`lift_fresh`, by which `torch.tensor` of a list copies it)."""
BY_MASK: Final = {"_unsafe_index", "index", "index_put", "index_put_"}
"""Operators that look for what is true in each mask that they are given."""
HOST: Final = {Tensor.tolist, Tensor.cpu, Tensor.numpy}
"""Waits of which operators on a processor show nothing."""
TAKE: Final = {"embedding", "gather", "index", "index_select"}
"""Operators that read as much as they write, whatever they read from."""
PUT: Final = {"index_copy_", "index_put_", "scatter_", "scatter_add_"}
"""Operators that write as much as they are given, whatever they write to."""


class Counter(TorchDispatchMode):
    """Counts the operators that run inside it.

    Args:
        large: numbers from which on a tensor counts as large.

    Attributes:
        launches: operators that compute something, but for those on nothing but numbers, tensors
            of shape (): samplers keep their times and rates on the host.
        syncs: times that the host waits for the device.
        bytes: read from and written to large tensors, by type; each input and output once.
        names: operators and how often each ran.
    """

    def __init__(self, large: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.large, self.paused, self._host = large, False, _Host(self)
        self.launches = self.syncs = 0
        self.bytes: Tally[str] = Tally()
        self.names: Tally[str] = Tally()

    def __enter__(self) -> Self:
        self._host.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *problem: object) -> None:
        super().__exit__(*problem)  # type: ignore[no-untyped-call]
        self._host.__exit__(*problem)  # type: ignore[no-untyped-call]

    @contextmanager
    def without(self, owner: object, name: str) -> Iterator[None]:
        """Count nothing inside a method of a class."""
        method = getattr(owner, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            self.paused = True
            try:
                return method(*args, **kwargs)
            finally:
                self.paused = False

        setattr(owner, name, run)
        try:
            yield
        finally:
            setattr(owner, name, method)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count it."""
        name = func.overloadpacket.__name__
        if not self.paused and name in WITHIN:
            with self:
                return WITHIN[name](*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        if not self.paused:
            self._count(func, name, (args, kwargs or {}), out)
        return out

    def _count(self, func: Any, name: str, given: tuple[Any, Any], out: Any) -> None:
        self.syncs += name in WAITS
        if name in BY_MASK:
            indices = [leaf for leaf in tree_leaves(given[0][1]) if isinstance(leaf, Tensor)]
            self.syncs += sum(index.dtype == torch.bool for index in indices)
        if func.is_view or name in SILENT:
            return
        tensors = [leaf for leaf in tree_leaves((given, out)) if isinstance(leaf, Tensor)]
        if all(tensor.ndim == 0 for tensor in tensors):
            return
        self.launches += 1
        self.names[name] += 1
        if name in TAKE:
            tensors = [out, out]
        elif name in PUT:
            tensors = [
                tensor for tensor in tensors if tensor is not given[0][0] and tensor is not out
            ]
        for touched in tensors:
            if touched.numel() >= self.large:
                self.bytes[str(touched.dtype).removeprefix("torch.")] += touched.nbytes


class _Host(TorchFunctionMode):
    """Counts what is read from a tensor without an operator."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counter.syncs += func in HOST and not self.counter.paused
        return func(*args, **(kwargs or {}))


def multinomial(p: Tensor, *_: object, generator: Any = None) -> Tensor:
    """What `torch.multinomial` runs for one draw: checks, exponential noise, division, maximum."""
    least, most = p.aminmax()
    ok = (least >= 0) & (most < torch.inf)
    ok = ok & ~(p.sum(-1) == 0).any()
    noise = torch.empty_like(p).exponential_(generator=generator)
    return torch.div(p, noise, out=noise).argmax(-1, keepdim=True)


def logsumexp(x: Tensor, dims: list[int], keepdim: bool = False) -> Tensor:
    """What `torch.logsumexp` runs."""
    most = x.amax(dims, keepdim=True)
    most = most.masked_fill(most.abs() == torch.inf, 0)
    total = (x - most).exp_().sum(dims, keepdim=keepdim).log_()
    return total.add_(most if keepdim else most.squeeze(dims))


WITHIN: Final[dict[str, Callable[..., Tensor]]] = {
    "logsumexp": logsumexp,
    "multinomial": multinomial,
}
"""Operators that are several, which they do not show."""
