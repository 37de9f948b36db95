"""A backbone: one class and the hook that offers it."""

from attrs import field, frozen, validators
from torch import nn

import aios_core
from aios_core import contracts

AIOS_API = 1


class _Module(nn.Module):
    def __init__(self, dim, causal):
        super().__init__()
        self.causal = causal
        self.here, self.mean = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, h, t=None, condition=None):
        """(B, L, D) to (B, L, D); padding, where condition.valid is False, is not looked at."""
        valid = h.new_ones(h.shape[:2])
        if condition is not None and condition.valid is not None:
            valid = condition.valid.to(h.dtype)
        seen, number = h * valid[..., None], valid[..., None]
        if self.causal:
            seen, number = seen.cumsum(1), number.cumsum(1)
        else:
            seen, number = seen.sum(1, keepdim=True), number.sum(1, keepdim=True)
        return h + nn.functional.gelu(self.here(h) + self.mean(seen / number.clamp(min=1)))


@frozen
class Averages(contracts.Backbone):
    """Each position, and the mean of all that it may see: the floor of any comparison."""

    time_conditioned = False
    dim: int = field(default=64, validator=validators.ge(1))
    """D, the width."""

    def build(self, *, causal=False):
        """A new module; one that is causal looks at the past alone."""
        return _Module(self.dim, causal)


@aios_core.hookimpl
def aios_backbones():
    """Names, and the classes they stand for."""
    return {"averages": Averages}
