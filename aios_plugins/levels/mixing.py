"""L0: mix the scores of several models; no parameter of any is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from attrs import evolve, field, frozen, validators
from torch import Tensor, nn

from aios_core.contracts import Adaptation, Budget, EvolutionLevel, Experience
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.errors import AIOSError, EvolutionError
from aios_core.training import checkpoint
from aios_core.training.digest import model_digest

if TYPE_CHECKING:
    from aios_core.contracts import AnyNetwork, Network

Pool = Literal["linear", "log"]
ENTRIES = 1 << 21
"""Most log-probabilities that are kept to fit weights on."""
_NEVER = -1e4
"""Stands for minus infinity, which a weight of 0 would make NaN."""


class MixedHead(nn.Module):
    """The heads of all models: states side by side in, normalised log-probabilities out."""

    def __init__(
        self, models: Sequence[Network], dims: Sequence[int], weights: Tensor, pool: Pool
    ) -> None:
        super().__init__()
        self.heads: Any = nn.ModuleList(model.head for model in models)
        self.dims, self.pool, self.mask_id = list(dims), pool, models[0].vocabulary.mask_id
        self.register_buffer("weights", weights)

    def encode(self, x: Tensor) -> Tensor:
        """(B, L) tokens to (B, L, sum of D)."""
        return torch.cat([head.encode(x) for head in self.heads], -1)

    def decode(self, h: Tensor) -> Tensor:
        """(B, L, sum of D) to (B, L, V)."""
        parts = [
            log_probs(head.decode(part), self.mask_id)
            for head, part in zip(self.heads, h.split(self.dims, -1), strict=True)
        ]
        return pooled(torch.stack(parts, -2), self.get_buffer("weights"), self.pool)


class MixedBackbone(nn.Module):
    """The backbones of all models, side by side."""

    def __init__(self, models: Sequence[Network], dims: Sequence[int]) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(model.backbone for model in models)
        self.dims = list(dims)

    def forward(self, h: Tensor, t: Tensor | None, condition: Any) -> Tensor:
        """(B, L, sum of D) to the same."""
        # Memories are the first model's, and the states requested of it are requested of all.
        first = condition and evolve(condition, part=None)
        others = first and evolve(first, inject=None)
        conditions = [first, *[others] * (len(self.dims) - 1)]
        parts = zip(self.backbones, h.split(self.dims, -1), conditions, strict=True)
        return torch.cat([backbone(part, t, own) for backbone, part, own in parts], -1)


@frozen
class Mixing(EvolutionLevel):
    """A pool of this model and others that share its tokenizer; weights are all that is learned.

    ``linear`` is a mixture of their predictions, ``log`` a product (guidance without a classifier
    is one, with weights gamma and 1 - gamma). The NELBO is convex in the weights of either, so the
    best ones are found. A product of what is predicted of single tokens is not a sample of the
    product of two distributions of texts, and no step of a sampler makes it one.
    """

    name: ClassVar[str] = "l0-mixing"

    experts: tuple[Path, ...] = ()
    """Folders of runs; each costs a forward pass a step."""
    pool: Pool = "log"
    """Of log-probabilities, or of probabilities."""
    replay: float = field(default=0.25, validator=[validators.ge(0), validators.le(100)])
    """How much the base domain counts when weights are fitted, as a share of the target."""

    def adapt(self, model: Network, experience: Experience, budget: Budget) -> Adaptation:
        """Fit the weights on cached predictions, by exponentiated gradient on the simplex."""
        if not len(experience.target):
            raise EvolutionError("there is no evidence to learn from; expected at least one text")
        experts = [_expert(model, str(path)) for path in self.experts]
        models = [model, *(expert for expert, _ in experts)]
        config = {
            "pool": self.pool,
            "experts": [
                {"path": str(path.absolute()), "sha256": digest}
                for path, (_, digest) in zip(self.experts, experts, strict=True)
            ],
        }
        parts = [(experience.target, 1.0)]
        if self.replay and len(experience.base):
            parts.append((experience.base, self.replay))
        cached = [(_predictions(models, w, experience.seed), share) for w, share in parts]
        weights = _fitted(cached, len(models), self.pool)
        return Adaptation(config, {"weights": weights}, len(weights))

    def apply(self, model: AnyNetwork, adaptation: Adaptation) -> AnyNetwork:
        """The model and its experts as one."""
        config, weights = adaptation.config, adaptation.tensors.get("weights")
        experts, pool = config.get("experts"), config.get("pool")
        if pool not in {"linear", "log"} or not isinstance(experts, list):
            raise EvolutionError("the mixture: expected a pool, 'linear' or 'log', and its experts")
        if set(adaptation.tensors) != {"weights"} or weights is None:
            raise EvolutionError("the mixture: expected its weights, and no other tensor")
        if weights.shape != (len(experts) + 1,):
            raise EvolutionError(
                f"the mixture has {tuple(weights.shape)} weights for {len(experts) + 1} models"
            )
        return _mixed(model, [_named(model, expert) for expert in experts], weights, pool)


def log_probs(logits: Tensor, mask_id: int) -> Tensor:
    """Normalised, the mask never; in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).clone()
    logits[..., mask_id] = _NEVER
    return logits.log_softmax(-1).clamp(min=_NEVER)


def pooled(parts: Tensor, weights: Tensor, pool: Pool) -> Tensor:
    """(..., K, V) log-probabilities of K models to (..., V), normalised."""
    weights = weights.to(parts)
    if pool == "linear":
        return (parts + weights.log().clamp(min=_NEVER)[:, None]).logsumexp(-2)
    mixed: Tensor = (parts * weights[:, None]).sum(-2)
    return mixed.log_softmax(-1)


def _mixed(
    model: AnyNetwork, experts: Sequence[Network], weights: Tensor, pool: Pool
) -> AnyNetwork:
    fork = model.fork()
    if not experts:
        return fork
    parts: list[Network] = [fork, *experts]
    x = torch.zeros(1, 1, dtype=torch.long, device=fork.device)
    with torch.no_grad():
        dims = [expert.head.encode(x).shape[-1] for expert in parts]
    head = MixedHead(parts, dims, weights.to(fork.device), pool)
    fork.head, fork.backbone = head, MixedBackbone(parts, dims)
    fork.time_conditioned = any(expert.time_conditioned for expert in parts)
    return fork.train(model.training)


def _expert(model: Network, path: str) -> tuple[Network, str]:
    try:
        expert = checkpoint.load(Path(path)).model
    except AIOSError as error:
        raise EvolutionError(f"the expert {path} cannot be used: {error}") from error
    if (expert.vocabulary, expert.mode) != (model.vocabulary, model.mode):
        raise EvolutionError(f"the expert {path} reads other tokens, or is of another mode")
    if not (model.process.absorbing and expert.process.absorbing):
        raise EvolutionError(
            "predictions are mixed under masks alone; expected absorbing corruption"
        )
    return expert.to(model.device).eval(), model_digest(expert)


def _named(model: Network, entry: Any) -> Network:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(k), str) for k in _ENTRY):
        raise EvolutionError("an expert of the mixture: expected a path and a sha256")
    expert, digest = _expert(model, entry["path"])
    if digest != entry["sha256"]:
        raise EvolutionError(f"the expert {entry['path']} is not the one that was mixed")
    return expert


_ENTRY = ("path", "sha256")


@frozen(eq=False)
class _Cached:
    """Predictions (M, K, V) of masked tokens, the tokens (M,), and what each counts (M,)."""

    parts: Tensor
    tokens: Tensor
    counts: Tensor

    def loss(self, weights: Tensor, pool: Pool) -> Tensor:
        chosen = self.tokens[:, None, None].expand(-1, self.parts.shape[1], 1)
        if pool == "linear":
            nats = -pooled(self.parts.gather(-1, chosen), weights, pool)[:, 0]
        else:
            nats = -pooled(self.parts, weights, pool).gather(-1, self.tokens[:, None])[:, 0]
        mean: Tensor = (nats * self.counts).sum() / self.counts.sum()
        return mean


@torch.no_grad()
def _predictions(models: Sequence[Network], windows: Any, seed: int) -> _Cached:
    model = models[0]
    generator = torch.Generator().manual_seed(seed)
    most = max(1, ENTRIES // (len(models) * model.vocabulary.size))
    rows = max(1, min(len(windows), 2 * most // windows.ids.shape[1]))
    chosen = torch.randperm(len(windows), generator=generator)[:rows]
    ids = windows.ids[chosen]
    times = draw_times(rows, generator)
    random = RowRandom.numbered(seed, range(rows), ids.shape[1])
    noisy = model.process.corrupt(ids, model.noise.alpha(times), random)
    z = torch.where(windows.targets[chosen], noisy, ids)
    where = z == model.vocabulary.mask_id
    places = where.flatten().nonzero()[:most, 0]
    decoded_parts: list[list[Tensor]] = [[] for _ in models]
    for start in range(0, rows, 64):
        part = slice(start, start + 64)
        for number, expert in enumerate(models):
            h = expert.states(expert.place(z[part]), expert.place(times[part]))
            decoded = expert.decode(h[expert.place(where[part])][None])[0]
            decoded_parts[number].append(log_probs(decoded, model.vocabulary.mask_id).cpu())
    parts = torch.stack([torch.cat(chunks)[: len(places)] for chunks in decoded_parts], 1)
    weight = model.noise.weight(times)[:, None].expand(z.shape).flatten()[places]
    return _Cached(parts, ids.flatten()[places], weight.float())


def _fitted(cached: Sequence[tuple[_Cached, float]], count: int, pool: Pool) -> Tensor:
    """The best weights of the simplex, up to 1e-3 nats; never worse than the best single model."""

    def loss(weights: Tensor) -> Tensor:
        return torch.stack([share * chunk.loss(weights, pool) for chunk, share in cached]).sum()

    weights = torch.full((count,), 1 / count)
    rate = 1.0
    for _ in range(60 if count > 1 else 0):
        weights.requires_grad_()
        now = loss(weights)
        (slope,) = torch.autograd.grad(now, weights)
        weights = weights.detach()
        step = (weights.clamp(min=1e-9).log() - rate * slope).softmax(0)
        if loss(step) > now:
            rate /= 2
            continue
        weights = step
    tried: list[Tensor] = [weights, *torch.eye(count)]
    return min(tried, key=lambda candidate: float(loss(candidate)))
