"""A projection head: one class and the hook that offers it."""

from attrs import frozen
from torch import nn

import aios_core
from aios_core import contracts

AIOS_API = 1


class _Module(nn.Module):
    def __init__(self, dim, size):
        super().__init__()
        self.table = nn.Embedding(size, dim)

    def encode(self, x):
        """(B, L) tokens to (B, L, D) states."""
        return self.table(x)

    def decode(self, h):
        """(B, L, D) states to (B, L, V) logits."""
        return h @ self.table.weight.T


@frozen
class Tied(contracts.ProjectionHead):
    """One matrix for both ways."""

    def build(self, dim, space):
        """A new module for states of width dim."""
        return _Module(dim, contracts.Vocabulary.of(space, self).size)


@aios_core.hookimpl
def aios_projection_heads():
    """Names, and the classes they stand for."""
    return {"tied": Tied}
