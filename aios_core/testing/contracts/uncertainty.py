"""What every estimator of uncertainty must do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import torch

from aios_core.contracts import MaskLevel
from aios_core.testing.contracts.base import Contract, expect

if TYPE_CHECKING:
    from aios_core.contracts import UncertaintyEstimator

SIZE = 12
"""Tokens of the vocabulary; the last is the mask, which no prediction allows."""


def level(count: int = 40, *, rate: float = 0.5, first: bool = False, seed: int = 0) -> MaskLevel:
    """What a network might say of some hidden tokens, half of each row.

    Args:
        count: N, even.
        rate: the share of masks.
        first: whether no level came before.
        seed: of all of it.
    """
    made = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, SIZE, generator=made)
    logits[:, -1] = -torch.inf
    tokens, before = (torch.randint(SIZE - 1, (count,), generator=made) for _ in range(2))
    hidden = torch.tensor([[True, False] * (count // 2)] * 2)
    return MaskLevel(rate, hidden, tokens, logits.log_softmax(-1), None if first else before)


class UncertaintyContract(Contract["UncertaintyEstimator"]):
    """Subclass it and set ``component``: an estimator's class, or one that is built."""

    @classmethod
    def try_out(cls, plugin: UncertaintyEstimator) -> None:
        """A number a token."""
        measured = expect(plugin.measure(level()), torch.Tensor, "measure")
        shape = tuple(measured.shape)
        assert shape == (40,), f"measure gives shape {shape}; expected one a hidden token, (40,)"

    def test_is_built_without_values(self, instance: UncertaintyEstimator) -> None:
        """No configuration holds one, so its fields have defaults."""
        type(instance)().measure(level())

    @pytest.mark.parametrize("rate", [0.9, 0.1])
    @pytest.mark.parametrize("first", [True, False])
    def test_numbers_are_finite(
        self, instance: UncertaintyEstimator, rate: float, *, first: bool
    ) -> None:
        """At every level, also where tokens are impossible or certain."""
        some = level(rate=rate, first=first)
        sure = torch.full((40, SIZE), -torch.inf).scatter_(1, some.tokens[:, None], 0.0)
        for prediction in (some, attrs.evolve(some, log_probs=sure)):
            measured = instance.measure(prediction)
            assert measured.isfinite().all(), f"measure gives {measured[~measured.isfinite()][0]}"

    def test_a_token_depends_on_no_other(self, instance: UncertaintyEstimator) -> None:
        """Measured among others or alone."""
        many = level()
        together = instance.measure(many)
        assert many.before is not None
        for at in (0, 7, 39):
            single, there = slice(at, at + 1), torch.tensor([[True]])
            alone = MaskLevel(
                many.rate, there, many.tokens[single], many.log_probs[single], many.before[single]
            )
            torch.testing.assert_close(together[single], instance.measure(alone))

    def test_higher_is_more_unsure(self, instance: UncertaintyEstimator) -> None:
        """A network that is sure, right, and has not changed its mind, beside one that is lost."""
        some = level()
        sure = torch.full((40, SIZE), -9.0).scatter_(1, some.tokens[:, None], 9.0).log_softmax(-1)
        lost = torch.zeros(40, SIZE).log_softmax(-1)
        low = instance.measure(attrs.evolve(some, log_probs=sure, before=some.tokens))
        high = instance.measure(attrs.evolve(some, log_probs=lost, before=some.tokens + 1))
        assert (low < high).all(), "a network that is lost measures no more than one that is sure"

    def test_the_level_is_left_alone(self, instance: UncertaintyEstimator) -> None:
        """Others measure it after this one; twice it measures the same."""
        given, again = level(), level()
        first = instance.measure(given)
        assert torch.equal(given.log_probs, again.log_probs)
        assert torch.equal(given.tokens, again.tokens)
        assert torch.equal(first, instance.measure(again))
