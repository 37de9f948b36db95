"""A conditioner: one class and the hook that offers it."""

import torch
from attrs import field, frozen, validators
from torch import nn

import aios_core
from aios_core import contracts
from aios_core.contracts.conditioner import check_options
from aios_core.errors import InferenceError

AIOS_API = 1


@frozen
class _Cues:
    kinds: torch.Tensor
    known: torch.Tensor

    def taken(self, rows):
        """Those of some rows."""
        return _Cues(self.kinds[rows], self.known[rows])


class _Module(nn.Module):
    def __init__(self, dim, kinds):
        super().__init__()
        self.table = nn.Embedding(kinds, dim)
        nn.init.zeros_(self.table.weight)  # the network begins as it would without

    def context(self, cues):
        """What to add between layers; nothing where a row has no cue."""
        device = self.table.weight.device
        added = self.table(cues.kinds.to(device)) * cues.known.to(device)[:, None]
        return lambda h, _layer: h + added[:, None]


class _Source(contracts.CueSource):
    def __init__(self, kinds, dropout):
        self.kinds, self.dropout = kinds, dropout

    def for_training(self, ids, random):
        """By first tokens, behind the begin token; some rows are left without."""
        known = random.uniform()[:, 0] >= self.dropout
        return _Cues(ids[:, 1] % self.kinds, known)

    def for_evaluation(self, ids):
        """By first tokens."""
        return _Cues(ids[:, 1] % self.kinds, torch.ones(len(ids), dtype=torch.bool))

    def for_sampling(self, given, options):
        """By the option ``kind``, or the first token that is given."""
        check_options(options, "kind")
        kinds = [options.get("kind", row[0] if row else 0) for row in given]
        if not all(isinstance(kind, int) and kind >= 0 for kind in kinds):
            raise InferenceError(f"`condition`: kind: expected a number >= 0, got {kinds[0]!r}")
        known = [bool(row) or "kind" in options for row in given]
        return _Cues(torch.tensor(kinds) % self.kinds, torch.tensor(known))


@frozen
class Opening(contracts.Conditioner):
    """A vector for each kind of text, of which its first token tells."""

    prefix = "opening"

    kinds: int = field(default=8, validator=[validators.ge(1), validators.le(2**16)])
    """How many kinds there are."""
    dropout: float = field(default=0.1, validator=[validators.ge(0), validators.lt(1)])
    """Share of the training texts that are left without, so that guidance can lead away from it."""

    def build(self, dim, layers):
        """A module that adds a vector to every state."""
        return _Module(dim, self.kinds)

    def open(self, surroundings, tokenizer, *, place=None, maker=""):
        """Where the cues come from: the rows themselves."""
        return _Source(self.kinds, self.dropout)


@aios_core.hookimpl
def aios_conditioners():
    """Names, and the classes they stand for."""
    return {"opening": Opening}
