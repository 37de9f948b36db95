"""What others may ask of a forward process, whatever its states are.

Shapes: B rows, L positions; a state is (B, L) int64 tokens, or (B, L, C) numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts.randomness import Randomness
    from aios_core.contracts.space import Space, Vocabulary


class Draws(Protocol):
    """What a process draws with: a `SamplingContext`, or less."""

    @property
    def free(self) -> Tensor:
        """(B, L) bool: positions that may change."""
        ...

    def uniform(self, channels: int | None = None) -> Tensor:
        """(B, L) float64 uniforms in [0, 1), or (B, L, C) for C of each position."""
        ...

    def categorical(
        self, log_probs: Tensor, where: Tensor, bonus: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """As of `Randomness`, at the temperature of the sample."""
        ...


class Process(Protocol):
    """A forward process at any level of noise, and its way back."""

    @property
    def corruption(self) -> object:
        """The component that it is made of, for messages."""
        ...

    @property
    def space(self) -> Space:
        """What a position of its states is."""
        ...

    @property
    def absorbing(self) -> bool:
        """Whether noise is the mask and nothing else."""
        ...

    def prior(self, u: Tensor) -> Tensor:
        """Pure noise from uniforms in [0, 1) of the shape of a state, on their device."""
        ...

    def corrupt(self, x0: Tensor, alpha: Tensor, random: Randomness) -> Tensor:
        """The noisy state of a clean one.

        Args:
            x0: the clean state of B rows.
            alpha: (B, N) float64 survival probabilities of N equal parts of each row; N is 1 but
                for networks that are trained block by block.
            random: a stream for each row, on the CPU.
        """
        ...

    def between(
        self, z: Tensor, clean: Tensor, alpha: Tensor, earlier: Tensor, draws: Draws
    ) -> Tensor:
        """A draw of the state at the level ``earlier``, given z at the level ``alpha``.

        Args:
            z: the state, noisy.
            clean: a draw of the clean tokens, or the mean of clean numbers.
            alpha: () or (B,) float64 survival probabilities of z.
            earlier: likewise, of the state that is drawn.
            draws: random numbers, and what may change.
        """
        ...

    def integrand(
        self, z: Tensor, x0: Tensor, prediction: Tensor, alpha: Tensor, slope: Tensor
    ) -> Tensor:
        """What the NELBO integrates over time, (B, L) float64 nats: those of spaces add up.

        Args:
            z: the state, noisy.
            x0: the clean one.
            prediction: of the clean one: (B, L, V) log-probabilities, or (B, L, C) means.
            alpha: (B,) float64 survival probabilities of z.
            slope: (B,) float64, how they change with time.
        """
        ...


class TokenProcess(Process, Protocol):
    """A forward process of the tokens of a vocabulary."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its space."""
        ...

    def mass(self, alpha: Tensor) -> Tensor:
        """Probability (..., V) of each token as noise, at survival probabilities (...)."""
        ...

    def draw(self, alpha: Tensor, u: Tensor) -> Tensor:
        """Noise (B, L) of the level of () alpha, from uniforms (B, L) in [0, 1)."""
        ...

    def guess(self, z: Tensor, log_probs: Tensor, alpha: Tensor, draws: Draws) -> Tensor:
        """A draw of the clean tokens (B, L), each given all of z (B, L), itself included.

        ``log_probs`` (B, L, V) is the prediction, ``alpha`` () or (B,) the level of noise of z.
        """
        ...

    def step_loss(
        self, z: Tensor, x0: Tensor, log_probs: Tensor, alpha: Tensor, earlier: Tensor
    ) -> Tensor:
        """Relative entropy of a reverse step of the data and of the model, (B, L) nats."""
        ...
