"""L3: train some of the model's own tensors; and the two controls that it must beat."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from attrs import field, frozen, validators
from torch import Tensor, nn

from aios_core.contracts import Adaptation, Budget, EvolutionLevel, Experience
from aios_core.errors import EvolutionError
from aios_core.training.fitting import fit, gradients_of

if TYPE_CHECKING:
    from aios_core.contracts import AnyNetwork, Network

PROBES = 12
"""Batches of 16 rows that a ranking looks at."""


@frozen
class Chosen(EvolutionLevel):
    """Train chosen tensors, with replay and a pull to where they were (L2-SP, arXiv 1802.01483).

    What is kept is the new values, so the model is restored by what it had before and not by a
    subtraction, which would round.
    """

    learning_rate: float = field(default=2e-3, validator=[validators.gt(0), validators.le(1e3)])
    """Peak rate of AdamW."""
    replay: float = field(default=0.25, validator=[validators.ge(0), validators.le(100)])
    """Rows of the base domain in a batch, as a share of the target's."""
    pull: float = field(default=0.01, validator=[validators.ge(0), validators.le(1e6)])
    """Half of it times the squared distance from the base is added to the loss."""

    @abstractmethod
    def choose(self, model: Network, experience: Experience, most: float) -> list[str]:
        """Names of the tensors to train, which have ``most`` entries together at most."""

    def adapt(self, model: Network, experience: Experience, budget: Budget) -> Adaptation:
        """Train copies of the chosen tensors."""
        if not len(experience.target):
            raise EvolutionError("there is no evidence to learn from; expected at least one text")
        before = {name: parameter.detach() for name, parameter in model.named_parameters()}
        most = budget.share * model.num_parameters()
        names = self.choose(model, experience, most)
        count = sum(before[name].numel() for name in names)
        if not names or count > most:
            raise EvolutionError(
                f"{self.name} would train {count} parameters; the budget is {most:.0f}"
            )
        fork = _with(model, {name: before[name].clone() for name in names})
        now = dict(fork.named_parameters())
        trained = [now[name] for name in names]

        def distance() -> Tensor:
            moved = [(now[name] - before[name]).square().sum() for name in names]
            return self.pull / 2 * torch.stack(moved).sum()

        fit(
            fork,
            trained,
            experience,
            budget,
            learning_rate=self.learning_rate,
            replay=self.replay,
            pull=distance if self.pull else None,
        )
        learned = {name: now[name].detach().cpu().contiguous() for name in names}
        return Adaptation({"tensors": names}, learned, count)

    def apply(self, model: AnyNetwork, adaptation: Adaptation) -> AnyNetwork:
        """The model with the new tensors in the place of the old ones."""
        return _with(model, adaptation.tensors)


@frozen
class Unfreeze(Chosen):
    """Train the tensors that promise most for each of their parameters.

    Optimisers like Adam move every parameter by about the rate, however large its gradient is. So a
    step lowers the loss, to first order, by the rate times the sum of abs(gradient) over what is
    trained, and what is trained may have so many parameters: a knapsack, which is filled best by
    what has the highest mean abs(gradient) (greedily by density, Dantzig 1957). ``aios probe
    --data`` shows it as ``grad_mean_abs``. The norm of the gradient over that of the tensor
    (Auto-RGN, arXiv 2210.11466) knows nothing of the budget.
    """

    name: ClassVar[str] = "l3-unfreeze"

    def choose(self, model: Network, experience: Experience, most: float) -> list[str]:
        """The best tensors that still fit, in the order of their scores."""
        fork = model.fork().eval()
        parameters = dict(fork.named_parameters())
        tensors, texts = list(parameters.values()), experience.target
        mean = [torch.zeros_like(tensor) for tensor in tensors]
        for gradients in gradients_of(fork, texts, tensors, batches=PROBES, seed=experience.seed):
            mean = [m + g / PROBES for m, g in zip(mean, gradients, strict=True)]
        promise = {name: float(m.abs().mean()) for name, m in zip(parameters, mean, strict=True)}
        order = sorted(promise, key=lambda name: -promise[name] if promise[name] < math.inf else 0)
        return _greedy(order, parameters, most)


@frozen
class Random(Chosen):
    """A control: tensors drawn at random, under the same budget."""

    name: ClassVar[str] = "random-tensors"

    def choose(self, model: Network, experience: Experience, most: float) -> list[str]:
        """Tensors in random order, as far as they fit."""
        parameters = dict(model.named_parameters())
        generator = torch.Generator().manual_seed(experience.seed)
        order = torch.randperm(len(parameters), generator=generator).tolist()
        return _greedy([list(parameters)[place] for place in order], parameters, most)


@frozen
class Full(Chosen):
    """A control: all of the model, which a budget must allow; no replay and no pull by default."""

    name: ClassVar[str] = "full"

    replay: float = field(default=0.0, validator=[validators.ge(0), validators.le(100)])
    """Rows of the base domain in a batch, as a share of the target's."""
    pull: float = field(default=0.0, validator=[validators.ge(0), validators.le(1e6)])
    """Half of it times the squared distance from the base is added to the loss."""

    def choose(self, model: Network, experience: Experience, most: float) -> list[str]:
        """Every tensor."""
        return [name for name, _ in model.named_parameters()]


def _greedy(names: list[str], parameters: Mapping[str, Tensor], most: float) -> list[str]:
    chosen, count = [], 0
    for name in names:
        if count + parameters[name].numel() <= most:
            chosen.append(name)
            count += parameters[name].numel()
    return chosen


def _with(model: AnyNetwork, tensors: Mapping[str, Tensor]) -> AnyNetwork:
    """A fork with tensors in the place of its own, also where one is tied."""
    fork = model.fork()
    own = dict(fork.named_parameters())
    for name, tensor in tensors.items():
        if name not in own:
            raise EvolutionError(f"the model has no parameter {name!r:.200}")
        old = own[name]
        if (tensor.shape, tensor.dtype) != (old.shape, old.dtype):
            raise EvolutionError(
                f"{name} is {tensor.dtype} {tuple(tensor.shape)}; expected {old.dtype} "
                f"{tuple(old.shape)}"
            )
        new = nn.Parameter(tensor.to(old.device))
        for module in fork.modules():
            for key, parameter in list(module.named_parameters(recurse=False)):
                if parameter is old:
                    module.register_parameter(key, new)
    return fork
