"""What a step asks of a device, counted on any machine: launches, waits, bytes of large tensors.

A graphics card is idle while the host waits for it and while it has nothing to launch, and busy
with the bytes that each operator reads and writes. None of that needs the card to be counted.
"""

from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SILENT = {
    "_unsafe_view",
    "promote_types",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "resize_",
}
"""Operators that make a tensor and launch nothing; views are told by their schemas."""
WAITS = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "lift_fresh", "_is_all_true"}
"""Operators after which the host holds a number of the device's, or the device one of the host's
(`lift_fresh`, by which `torch.tensor` of a list copies it)."""
TAKE = {"embedding", "gather", "index", "index_select"}
"""Operators that read as much as they write, whatever they read from."""
PUT = {"index_copy_", "index_put_", "scatter_", "scatter_add_"}
"""Operators that write as much as they are given, whatever they write to."""
HOST = {torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy}
"""Likewise, of which operators on a processor show nothing."""


class Counter(TorchDispatchMode):
    """Counts the operators that run inside it.

    Args:
        large: numbers from which on a tensor counts as large.

    Attributes:
        launches: operators that compute something.
        syncs: times that the host waits for the device.
        bytes: read from and written to large tensors, by type; each input and output once.
        names: operators and how often each ran.
    """

    def __init__(self, large):
        super().__init__()
        self.large, self.paused, self.host = large, False, _Host(self)
        self.launches, self.syncs, self.bytes, self.names = 0, 0, {}, {}

    def __enter__(self):
        self.host.__enter__()
        return super().__enter__()

    def __exit__(self, *problem):
        super().__exit__(*problem)
        self.host.__exit__(*problem)

    @contextmanager
    def without(self, owner, name):
        """Count nothing inside a method of a class."""
        method = getattr(owner, name)

        def run(*args, **kwargs):
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

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if not self.paused and name in WITHIN:
            with self:
                return WITHIN[name](*args, **kwargs)
        out = func(*args, **kwargs)
        if not self.paused:
            self._count(func, name, (args, kwargs), out)
        return out

    def _count(self, func, name, given, out):
        tensors = [one for one in tree_leaves((given, out)) if isinstance(one, torch.Tensor)]
        masks = name in {"index", "index_put", "index_put_", "_unsafe_index"} and sum(
            one.dtype == torch.bool for one in tree_leaves(given[0][1])
            if isinstance(one, torch.Tensor)
        )  # fmt: skip
        self.syncs += (name in WAITS) + masks
        if func.is_view or name in SILENT or name == "lift_fresh":
            return
        self.launches += name != "_local_scalar_dense"
        self.names[name] = self.names.get(name, 0) + 1
        if name in TAKE:  # a large tensor is touched in a few places
            tensors = [out, out]
        elif name in PUT:
            tensors = [one for one in tensors if one is not given[0][0] and one is not out]
        for one in tensors:
            if one.numel() >= self.large:
                kind = str(one.dtype).removeprefix("torch.")
                self.bytes[kind] = self.bytes.get(kind, 0) + one.nbytes


class _Host(TorchFunctionMode):
    """Counts what is read from a tensor without an operator."""

    def __init__(self, counter):
        super().__init__()
        self.counter = counter

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.counter.syncs += func in HOST and not self.counter.paused
        return func(*args, **(kwargs or {}))


def multinomial(p, count, replacement=False, *, generator=None):
    """What `torch.multinomial` runs for one draw: checks, exponential noise, division, maximum."""
    least, most = p.aminmax()
    ok = (least >= 0) & (most < torch.inf)
    ok = ok & ~(p.sum(-1) == 0).any()
    noise = torch.empty_like(p).exponential_(generator=generator)
    return torch.div(p, noise, out=noise).argmax(-1, keepdim=True)


def logsumexp(x, dims, keepdim=False):
    """What `torch.logsumexp` runs."""
    most = x.amax(dims, keepdim=True)
    most = most.masked_fill(most.abs() == torch.inf, 0)
    total = (x - most).exp_().sum(dims, keepdim=keepdim).log_()
    return total.add_(most if keepdim else most.squeeze(dims))


WITHIN = {"multinomial": multinomial, "logsumexp": logsumexp}
"""Operators that are several, which they do not show."""
