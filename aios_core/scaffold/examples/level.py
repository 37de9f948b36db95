"""An evolution level: one class and the hook that offers it."""

import torch
from attrs import field, frozen, validators

import aios_core
from aios_core.contracts import Adaptation, EvolutionLevel
from aios_core.errors import EvolutionError
from aios_core.training.fitting import fit

AIOS_API = 1


@frozen
class Bias(EvolutionLevel):
    """Learn how often each token comes, and nothing else."""

    name = "bias"

    learning_rate: float = field(default=0.1, validator=[validators.gt(0), validators.le(1e3)])
    """Peak rate of AdamW."""

    def adapt(self, model, experience, budget):
        """Learn one number a token; the model that is given stays as it is."""
        shift = torch.zeros(model.vocabulary.size, requires_grad=True)
        if shift.numel() > budget.share * model.num_parameters():
            raise EvolutionError("a number a token is more than the budget allows")
        rate = self.learning_rate
        fit(self._with(model, shift), [shift], experience, budget, learning_rate=rate)
        return Adaptation({}, {"shift": shift.detach()}, shift.numel())

    def apply(self, model, adaptation):
        """A fork of the model whose answers are shifted."""
        shift, *others = adaptation.tensors.values()
        if others or shift.shape != (model.vocabulary.size,):
            raise EvolutionError("expected one tensor, with a number a token")
        return self._with(model, shift)

    def _with(self, model, shift):
        fork = model.fork()
        decode = fork.head.decode
        fork.head.decode = lambda h: decode(h) + shift.to(h)
        return fork


@aios_core.hookimpl
def aios_evolution_levels():
    """Names, and the classes they stand for."""
    return {"bias": Bias}
