"""L2: low-rank updates of linear layers, in PEFT's file format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from attrs import field, frozen, validators
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.contracts import Adaptation, Budget, EvolutionLevel, Experience
from aios_core.errors import EvolutionError
from aios_core.training.fitting import fit
from aios_plugins.levels._peft import PREFIX, check_layers, read, written

if TYPE_CHECKING:
    from aios_core.contracts import AnyNetwork, Network


class LoraLinear(nn.Linear):
    """A linear layer with low-rank updates beside it: ``y = W x + b + sum of scale B A x``.

    W is never written to, so without the updates the layer is what it was, bit for bit. (To
    subtract a merged update restores 83 % of float32 entries.)
    """

    def __init__(self, base: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.scales: list[float] = []
        if isinstance(base, LoraLinear):
            for a, b, scale in base.updates():
                self.add(a, b, scale)

    def add(self, a: Tensor, b: Tensor, scale: float) -> None:
        """One more update: A is (rank, in), B is (out, rank)."""
        number = len(self.scales)
        self.register_buffer(f"lora_A{number}", a)
        self.register_buffer(f"lora_B{number}", b)
        self.scales.append(scale)

    def updates(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """A, B and scale of each."""
        for number, scale in enumerate(self.scales):
            yield getattr(self, f"lora_A{number}"), getattr(self, f"lora_B{number}"), scale

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        y = F.linear(x, self.weight, self.bias)
        for a, b, scale in self.updates():
            y = y + scale * F.linear(F.linear(x, a.to(x)), b.to(x))
        return y


@frozen
class Lora(EvolutionLevel):
    """Low-rank updates of linear layers (arXiv 2106.09685), about 1 % of the parameters.

    Files are PEFT's, both ways. The update starts at zero, several may be stacked, and none is ever
    merged into a weight.
    """

    name: ClassVar[str] = "l2-lora"

    rank: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.ge(1), validators.le(65_536))),
    )
    """r; unset: as large as ``share`` allows."""
    share: float = field(default=0.01, validator=[validators.gt(0), validators.le(1)])
    """Of the model's parameters, where no rank is set; a rank is at least 1."""
    alpha: float = field(default=2.0, validator=[validators.gt(0), validators.le(1e6)])
    """Scale of the update: lora_alpha / r."""
    targets: tuple[str, ...] = ()
    """Last parts of the names of layers, as in ``"qkv"``; empty: every linear layer but the one
    that decodes."""
    learning_rate: float = field(default=5e-3, validator=[validators.gt(0), validators.le(1e3)])
    """Peak rate of AdamW."""
    replay: float = field(default=0.25, validator=[validators.ge(0), validators.le(100)])
    """Rows of the base domain in a batch, as a share of the target's."""

    def adapt(self, model: Network, experience: Experience, budget: Budget) -> Adaptation:
        """Train an update of every target layer."""
        layers = self._layers(model)
        total = model.num_parameters()
        each = sum(layer.in_features + layer.out_features for layer in layers.values())
        rank = self.rank or max(1, int(self.share * total / each))
        if rank * each > budget.share * total:
            raise EvolutionError(
                f"rank {rank} of {len(layers)} layers is {rank * each / total:.2%} of the "
                f"parameters; the budget is {budget.share:.2%}; expected a smaller rank, or fewer "
                "targets"
            )
        generator = torch.Generator().manual_seed(experience.seed)
        tensors = {}
        for name, layer in layers.items():
            bound = 1 / math.sqrt(layer.in_features)  # kaiming_uniform(a=sqrt(5)), as PEFT has it
            a = torch.rand(rank, layer.in_features, generator=generator) * 2 * bound - bound
            b = torch.zeros(layer.out_features, rank)
            tensors[f"{PREFIX}{name}.lora_A.weight"] = a.to(layer.weight).requires_grad_()
            tensors[f"{PREFIX}{name}.lora_B.weight"] = b.to(layer.weight).requires_grad_()
        config = written(rank, self.alpha * rank, layers)
        fork = _with(model, config, tensors)
        fit(
            fork,
            list(tensors.values()),
            experience,
            budget,
            learning_rate=self.learning_rate,
            replay=self.replay,
        )
        learned = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        return Adaptation(config, learned, rank * each)

    def apply(self, model: AnyNetwork, adaptation: Adaptation) -> AnyNetwork:
        """The model with the update beside its layers."""
        return _with(model, adaptation.config, adaptation.tensors)

    def merge(self, parts: Sequence[tuple[Adaptation, float]]) -> Adaptation:
        """The weighted sum, exact: ranks side by side (PEFT's combination type ``cat``)."""
        adapters = [
            (*_pairs(adaptation.config, adaptation.tensors), weight) for adaptation, weight in parts
        ]
        names = sorted({name for pairs, *_ in adapters for name in pairs})
        tensors = {}
        for name in names:
            like = next(pairs[name] for pairs, *_ in adapters if name in pairs)
            a, b = [], []
            for pairs, rank, scale, weight in adapters:
                pair = pairs.get(name) or like.nothing(rank)
                a.append(pair.a)
                b.append(weight * scale * pair.b)
            tensors[f"{PREFIX}{name}.lora_A.weight"] = torch.cat(a)
            tensors[f"{PREFIX}{name}.lora_B.weight"] = torch.cat(b, 1)
        rank = sum(rank for _, rank, *_ in adapters)
        count = sum(tensor.numel() for tensor in tensors.values())
        return Adaptation(written(rank, rank, names), tensors, count)

    def _layers(self, model: Network) -> dict[str, nn.Linear]:
        layers = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear)
            and (
                name.rpartition(".")[2] in self.targets
                if self.targets
                else not name.startswith("head.")
            )
        }
        if not layers:
            names = sorted(
                {n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear)}
            )
            raise EvolutionError(
                f"targets: no linear layer is called {' or '.join(self.targets) or 'anything'}; "
                f"this model has {', '.join(names) or 'none'}"
            )
        return layers


@frozen(eq=False)
class _Pair:
    """A is (rank, in), B is (out, rank)."""

    a: Tensor
    b: Tensor

    def nothing(self, rank: int) -> Self:
        """An update of the same layer that changes nothing."""
        a, b = self.a.new_zeros(rank, self.a.shape[1]), self.b.new_zeros(self.b.shape[0], rank)
        return type(self)(a, b)


def _pairs(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, _Pair], int, float]:
    """The update of each layer, by its name, with the rank and the scale of all.

    Raises:
        EvolutionError: they are not those of LoRA, or need what is not done here.
    """
    rank, scale = read(config)
    updates: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, letter = key.removeprefix(PREFIX).removesuffix(".weight").rpartition(".lora_")
        if key != f"{PREFIX}{name}.lora_{letter}.weight" or letter not in {"A", "B"}:
            raise EvolutionError(f"the adapter holds {key!r:.200}, which is not of LoRA")
        updates.setdefault(name, {})[letter.lower()] = tensor
    if not updates:
        raise EvolutionError("the adapter holds no update")
    for name, pair in updates.items():
        if len(pair) < 2:
            raise EvolutionError(f"the adapter has one half of the update of {name!r:.200}")
        if any(matrix.ndim != 2 for matrix in pair.values()):
            raise EvolutionError(f"{name}: expected two matrices as its update")
    check_layers(config, updates)
    return {name: _Pair(**pair) for name, pair in updates.items()}, rank, scale


def _with(
    model: AnyNetwork, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> AnyNetwork:
    """A fork whose layers have the update; everything is checked first."""
    pairs, rank, scale = _pairs(config, tensors)
    fork = model.fork()
    modules = dict(fork.named_modules())
    for name, pair in sorted(pairs.items()):
        layer = modules.get(name)
        if not isinstance(layer, nn.Linear):
            raise EvolutionError(f"the adapter is for a layer {name!r:.200}, which is not there")
        a, b = (rank, layer.in_features), (layer.out_features, rank)
        if (tuple(pair.a.shape), tuple(pair.b.shape)) != (a, b):
            raise EvolutionError(
                f"{name}: the update has the shapes {tuple(pair.a.shape)} and "
                f"{tuple(pair.b.shape)}; expected {a} and {b} for this model"
            )
        changed = LoraLinear(layer)
        place = layer.weight.device
        changed.add(pair.a.to(place), pair.b.to(place), scale)
        fork.set_submodule(name, changed)
    return fork.train(model.training)
