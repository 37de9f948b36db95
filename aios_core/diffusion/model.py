"""The model: a head and a backbone, with the noise they are trained under."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any, Literal

import torch
from attrs import evolve
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from aios_core.component import blamed, named
from aios_core.contracts import Condition
from aios_core.diffusion.block_causal import BlockDenoiser
from aios_core.diffusion.caching import CachingDenoiser
from aios_core.diffusion.denoiser import ByWidth, ModelDenoiser
from aios_core.diffusion.process import tokens_of
from aios_core.diffusion.rounding import tile, widths
from aios_core.diffusion.soundness import check
from aios_core.errors import InferenceError, PluginError

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import (
        Backbone,
        Caching,
        Conditioner,
        Corruption,
        Cues,
        Injection,
        Network,
        NoiseScheduler,
        ProjectionHead,
        Vocabulary,
    )


class Model(nn.Module):
    """Tokens to logits: ``head.decode(backbone(head.encode(x), t, condition))``.

    One class for the denoiser and for its autoregressive twin, which differ in the mask of
    the attention and in nothing else.

    Attributes:
        head: module of the projection head.
        backbone: module of the backbone.
        vocabulary: sizes and special ids.
        noise: schedule that it is trained under.
        process: forward process that it is trained under.
        mode: ``"diffusion"`` or ``"ar"``.
        length: tokens of a training sequence.
        block_size: tokens of a block where it is trained block by block, otherwise ``length``.
        in_blocks: whether it is.
        time_conditioned: whether logits depend on t.
    """

    def __init__(
        self,
        head: ProjectionHead,
        backbone: Backbone,
        noise: NoiseScheduler,
        corruption: Corruption,
        vocabulary: Vocabulary,
        *,
        mode: Literal["diffusion", "ar"] = "diffusion",
        length: int = 128,
        block_size: int | None = None,
        conditioner: Conditioner | None = None,
    ) -> None:
        super().__init__()
        # Typed as Any, for nn.Module has no `encode`; `HeadModule` says what is promised.
        with blamed(head, "build"):
            self.head: Any = head.build(backbone.dim, vocabulary)
        with blamed(backbone, "build"):
            self.backbone = backbone.build(causal=mode == "ar")
        with blamed(noise, "build"):
            self.noise = noise.build() if mode == "diffusion" else noise  # maybe a module
        self._makers: tuple[object, ...] = head, backbone, noise
        self._axes = backbone.axes
        self.process = tokens_of(corruption, vocabulary)
        self.vocabulary = vocabulary
        self.mode = mode
        self.length = length
        self.in_blocks = block_size is not None and mode == "diffusion"
        self.block_size = block_size if block_size is not None and self.in_blocks else length
        self.time_conditioned = backbone.time_conditioned and mode == "diffusion"
        self._conditioned_by = ""
        self._injection: Injection | None = None
        self._cues: Cues | None = None
        if conditioner is not None and mode == "diffusion":  # last: others start as without
            self._add(conditioner, backbone)

    @classmethod
    def build(cls, config: Config, vocabulary: Vocabulary) -> Model:
        """A freshly initialised model; its weights follow from ``config.seed`` alone.

        Raises:
            PluginError: a component is not what its contract says, or the bound would be none.
        """
        if config.mode == "diffusion":
            check(config.corruption)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            return cls(
                config.head,
                config.backbone,
                config.noise,
                config.corruption,
                vocabulary,
                mode=config.mode,
                length=config.diffusion.length,
                block_size=config.diffusion.block_size,
                conditioner=config.conditioner,
            )

    def _add(self, conditioner: Conditioner, backbone: Backbone) -> None:
        """Take in the module of a conditioner, under the name that its tensors have in files."""
        with blamed(conditioner, "build"):
            module = conditioner.build(backbone.dim, backbone.injections)
        if module is not None:
            self.add_module(conditioner.prefix, module)
            self._conditioned_by = conditioner.prefix
            self._makers = (*self._makers, conditioner)

    @property
    def conditioner(self) -> Any:
        """The module of the conditioner, a `ConditionModule`; None: it has none."""
        return self._modules.get(self._conditioned_by)

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU for a model without any."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def forward(
        self, x: Tensor, t: Tensor | None = None, condition: Condition | None = None
    ) -> Tensor:
        """Logits.

        Args:
            x: (B, L) int64 tokens.
            t: (B,) float64 times in [0, 1]; None for an autoregressive model.
            condition: what else the network may attend to.

        Returns:
            (B, L, V) logits; for the twin, those at i are of the token after i.
        """
        return self.decode(self.states(x, t, condition))

    def states(
        self, x: Tensor, t: Tensor | None = None, condition: Condition | None = None
    ) -> Tensor:
        """What the head decodes, (B, L, D); the arguments are those of `forward`."""
        if self._injection is not None:
            condition = evolve(condition or Condition(), inject=self._injection)
        return self._run(x, t, condition)

    def decode(self, h: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D), as the head gives them.

        Raises:
            PluginError: they have another shape.
        """
        logits: Tensor = self.head.decode(h)
        if logits.shape != (*h.shape[:-1], self.vocabulary.size):
            raise PluginError(
                f"{named(self._makers[0])} decodes states of shape {tuple(h.shape)} to "
                f"{tuple(logits.shape)}; expected {(*h.shape[:-1], self.vocabulary.size)}"
            )
        return logits

    @property
    def made(self) -> tuple[tuple[object, object], ...]:
        """Each part that a component made, with the component, for `blamed`."""
        parts = (self.head, self.backbone, self.noise, self.conditioner)
        return tuple(zip(parts, self._makers, strict=False))

    def _run(self, x: Tensor, t: Tensor | None, condition: Condition | None) -> Tensor:
        places = None if condition is None else condition.positions
        if places is not None and places.shape[-1] > self._axes:
            raise PluginError(
                f"{named(self._makers[1])} knows positions on {self._axes} axes; got "
                f"{places.shape[-1]}"
            )
        states: Tensor = self.head.encode(x)
        if states.ndim != 3 or states.shape[:2] != x.shape:
            raise PluginError(
                f"{named(self._makers[0])} encodes tokens of shape {tuple(x.shape)} to "
                f"{tuple(states.shape)}; expected (B, L, D)"
            )
        h: Tensor = self.backbone(states, t, condition)
        whole = states.shape
        part = None if condition is None else condition.part
        if h.shape != whole and (
            part is None or h.shape != (whole[0], part.stop - part.start, whole[2])
        ):
            raise PluginError(
                f"{named(self._makers[1])} gives states of shape {tuple(h.shape)}; expected "
                f"{tuple(whole)}"
            )
        return h

    def conditioned(self, cues: Cues | None) -> Model:
        """The same network, sharing its weights, which attends to cues in every call.

        Args:
            cues: of the rows of every batch that it is given; None: there are none.

        Raises:
            InferenceError: it was made without a conditioner.
        """
        if cues is None:
            return self
        if self.conditioner is None:
            raise InferenceError(
                "the network attends to its row alone; expected one that was trained with a "
                "[conditioner]"
            )
        twin = copy(self)
        twin._cues = cues  # noqa: SLF001 - its own class
        with blamed(self._makers[-1], "context"):
            twin._injection = self.conditioner.context(cues)  # noqa: SLF001 - its own class
        return twin

    def _of_rows(self, rows: Tensor) -> Model:
        """The same network for some rows of a batch, by number."""
        if self._cues is None:
            return self
        with blamed(self._makers[-1], "its cues"):
            cues = self._cues.taken(rows.numpy())
        return self.conditioned(cues)

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """-log p of tokens, in float32 at least; the mask has probability zero.

        Only the positions that count are decoded: with a large vocabulary, logits of all of them
        would be most of the memory, and much of the time, of a step.

        Args:
            h: (N, D) some of the states.
            targets: (N,) int64 their clean tokens.

        Returns:
            (N,) nats.
        """
        return F.cross_entropy(self.logits(h[None])[0], targets, reduction="none")

    def logits(self, h: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D), in float32 at least; minus infinity for the mask."""
        logits = self.decode(h)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits[..., self.vocabulary.mask_id] = -torch.inf
        return logits

    def log_probs(self, h: Tensor) -> Tensor:
        """Log-probabilities (..., V) of the tokens by states (..., D)."""
        return self.logits(h).log_softmax(-1)

    def compiled(self) -> Model:
        """The same network, sharing its weights, that runs through ``torch.compile``.

        Its first step takes a minute or so. The number of positions decoded differs from step to
        step, so that dimension is left open; all others are fixed.
        """
        twin = copy(self)
        for name, dynamic in (("_run", None), ("losses", True)):
            setattr(twin, name, torch.compile(getattr(self, name), dynamic=dynamic))
        return twin

    def fork(self) -> Model:
        """The same network in modules of its own, which share every tensor with these.

        So a module or a parameter of the fork may be put in another's place; what is written into
        a tensor is written into both.
        """
        memo = {id(tensor): tensor for tensor in (*self.parameters(), *self.buffers())}
        return deepcopy(self, memo)

    def num_parameters(self) -> int:
        """How many parameters there are, shared ones once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor on the network's device, without waiting for what that still computes."""
        if tensor.device == self.device:
            return tensor
        if self.device.type == "cuda":
            tensor = tensor.contiguous().pin_memory()  # one that was expanded cannot be
        return tensor.to(self.device, non_blocking=True)

    def sampled_in(self, block_size: int | None) -> int | None:
        """The size of blocks to sample in, given what is asked for.

        Raises:
            InferenceError: it is not that of a network which was trained in blocks.
        """
        if not self.in_blocks:
            return block_size
        if block_size not in {None, self.block_size}:
            raise InferenceError(
                f"block_size is {block_size}, and the network was trained in blocks of "
                f"{self.block_size}; expected that, or leave it out"
            )
        return self.block_size

    def denoiser(
        self,
        condition: Condition | None = None,
        dtype: torch.dtype | None = None,
        cache: Caching = "none",
    ) -> ModelDenoiser | ByWidth:
        """The model as samplers see it, in evaluation mode from now on.

        Args:
            condition: passed to the network at every call.
            dtype: of the log-probabilities; unset: float32, or float64 where the network's states
                are. Whatever it is, tokens are drawn in float64.
            cache: what is not read again while a block is filled in, at the price of exactness.

        Raises:
            InferenceError: a cache is wanted, and the backbone has none.
        """
        self.eval()
        if cache != "none" and not self.in_blocks:
            return CachingDenoiser(self, condition, dtype, cache)
        of = BlockDenoiser if self.in_blocks else ModelDenoiser  # the cache of blocks is exact
        valid = None if condition is None else condition.valid
        if condition is None or valid is None or tile(valid.device) == 1:
            return of(self, condition, dtype)
        read = widths(valid)
        if len(read) == 1:
            return of(self, condition, dtype)
        parts = {}
        for width, rows in read.items():
            own = valid[rows, :width]
            shown = evolve(condition, valid=None if bool(own.all()) else own)
            parts[width] = rows, of(self._of_rows(rows), shown, dtype)
        return ByWidth(parts, self.vocabulary.size)


if TYPE_CHECKING:  # what contracts say of a network is what this one offers

    def _offers(model: Model) -> Network:
        return model
