"""What others may ask of a network, a source of random numbers, and held-out tokens.

Protocols, so that a contract names no class of ours: whatever has these methods will do. Shapes: B
rows, L positions, D width, V tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from aios_core.contracts.backbone import Condition
    from aios_core.contracts.conditioner import Cues
    from aios_core.contracts.noise import NoiseScheduler
    from aios_core.contracts.process import TokenProcess
    from aios_core.contracts.sequences import Sequences
    from aios_core.contracts.space import Vocabulary


class Denoiser(Protocol):
    """What a sampler asks: the distribution of the clean tokens, given a noisy state.

    Conditions, guidance and constraints wrap this callable; a sampler never knows which are active.

    It may also have ``part(x, t, start, stop)``, which says of the positions from start to stop
    what the call says of them, (B, stop - start, V): block by block that is all one needs to know.
    """

    time_conditioned: bool
    """Whether the answer depends on t; if not, an unchanged x keeps its prediction."""

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Log-probabilities of the clean tokens.

        Args:
            x: (B, L) int64 token ids.
            t: (B,) float64 times in [0, 1].

        Returns:
            (B, L, V) log-probabilities, a new tensor, normalised; minus infinity for the mask
            token, and, when noise is masks alone, a one-hot at every position of x that is not
            masked. Under other noise they are those given all of x but the position itself.
        """
        ...


class Network(Protocol):
    """A trained network, or one that learns: ``head.decode(backbone(head.encode(x), t))``.

    It is an `nn.Module` besides, of which the methods that plugins use are repeated here. Logits
    and losses are those of clean tokens; of an autoregressive network those at position i are of
    the token behind it.
    """

    head: Any
    """A `HeadModule`; a fork's may be replaced."""
    backbone: nn.Module
    """Likewise, called as ``backbone(h, t, condition)``."""
    time_conditioned: bool
    """Whether its answer depends on t."""
    training: bool

    @property
    def vocabulary(self) -> Vocabulary:
        """Sizes and special ids of its tokens."""
        ...

    @property
    def noise(self) -> NoiseScheduler:
        """The schedule that it is trained under."""
        ...

    @property
    def process(self) -> TokenProcess:
        """The forward process that it is trained under."""
        ...

    @property
    def mode(self) -> Literal["diffusion", "ar"]:
        """Whether it denoises, or is the autoregressive twin."""
        ...

    @property
    def length(self) -> int:
        """Tokens of a training sequence."""
        ...

    @property
    def block_size(self) -> int:
        """Tokens of a block where it is trained block by block, otherwise `length`."""
        ...

    @property
    def in_blocks(self) -> bool:
        """Whether it is trained block by block."""
        ...

    @property
    def conditioner(self) -> nn.Module | None:
        """What reads cues, in a network that was made with a conditioner."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        ...

    @property
    def made(self) -> tuple[tuple[object, object], ...]:
        """Head, backbone, noise and conditioner, each with the component that made it."""
        ...

    def __call__(
        self, x: Tensor, t: Tensor | None = None, condition: Condition | None = None
    ) -> Tensor:
        """Logits (B, L, V).

        Args:
            x: (B, L) int64 tokens.
            t: (B,) float64 times in [0, 1]; (B, L) where its backbone serves masks; None for an
                autoregressive network.
            condition: what else the network may attend to.
        """
        ...

    def states(
        self, x: Tensor, t: Tensor | None = None, condition: Condition | None = None
    ) -> Tensor:
        """What the head decodes, (B, L, D); the arguments are those of the call."""
        ...

    def decode(self, h: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D), as the head gives them."""
        ...

    def logits(self, h: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D), in float32 at least; minus infinity for the mask."""
        ...

    def log_probs(self, h: Tensor) -> Tensor:
        """Log-probabilities (..., V) of the tokens by states (..., D)."""
        ...

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """-log p in nats (N,) of tokens (N,) by states (N, D)."""
        ...

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor on the network's device."""
        ...

    def conditioned(self, cues: Cues | None) -> Self:
        """The same network, sharing its weights, which attends to cues in every call."""
        ...

    def denoiser(self, condition: Condition | None = None) -> Denoiser:
        """The network as samplers see it, in evaluation mode from now on."""
        ...

    def fork(self) -> Self:
        """The same network in modules of its own, which share every tensor with these."""
        ...

    def num_parameters(self) -> int:
        """How many parameters there are, shared ones once."""
        ...

    def train(self, mode: bool = True) -> Self:
        """Into training mode or out of it, like all that follow as of `nn.Module`."""
        ...

    def eval(self) -> Self:
        """Into evaluation mode."""
        ...

    def to(self, device: torch.device) -> Self:
        """Itself, moved to a device."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Every module, itself first."""
        ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Likewise, by name."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Every parameter, shared ones once."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Likewise, by name."""
        ...

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors that are not learned, by name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers that make up its state, by name."""
        ...

    def set_submodule(self, target: str, module: nn.Module) -> None:
        """Put a module in the place of another, which a dotted name says."""
        ...


AnyNetwork = TypeVar("AnyNetwork", bound=Network)
"""A network of one class: what a level is given and what it gives back."""


class HeldOutTokens(Protocol):
    """A split of a data set."""

    @property
    def ids(self) -> Sequence[int] | NDArray[np.int32]:
        """(n,) int32 tokens that are learned, an end token behind each row."""
        ...

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of what is learned."""
        ...

    @property
    def exact(self) -> bool:
        """Whether the tokens decode to the text: where not, they say less than its bytes do."""
        ...

    def sequences(self, length: int | None = None, count: int | None = None) -> Sequences:
        """Every token exactly once, in order, in rows as the network learned from them.

        Args:
            length: L; None: that of training.
            count: most sequences, spread evenly over the split; None: all.
        """
        ...

    def windows(self, length: int, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Every token of `ids` exactly once, in order, wherever rows begin.

        Args:
            length: L.
            count: most windows, spread evenly over the split; None: all.

        Returns:
            ids (N, L) int64 and valid (N, L) bool, False where the last row is padded.
        """
        ...
