"""What every objective must do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from aios_core.config import resolve
from aios_core.contracts import Sequences, TrainingContext, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import estimate
from aios_core.diffusion.random import RowRandom
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.contracts.sampler import Linear, Mixed
from aios_core.testing.modules import assert_learns, stir
from aios_core.testing.oracle import NoisyOracle, Oracle

if TYPE_CHECKING:
    from aios_core.contracts import Objective

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)
_FORMER = "an objective of the former form knows nothing of given parts"


class ObjectiveContract(Contract["Objective"]):
    """Subclass it and set ``component``: an objective's class, or one that is built."""

    numbers: ClassVar = "aios_core.testing.contracts.numbers:NumberObjectiveContract"

    varied: ClassVar = {"test_padding_counts_for_nothing": {}, "test_seed_decides": {}}

    @classmethod
    def try_out(cls, plugin: Objective) -> None:
        """Losses are a tensor, one a row."""
        model = _model("absorbing", None)
        losses = _estimate(plugin, model, 6, None)
        shape = tuple(expect(losses, Tensor, "losses").shape)
        assert shape == (6,), f"losses give shape {shape}; expected one a row, (6,)"

    def test_is_a_bound_where_it_says_so(self, instance: Objective) -> None:
        """T1, T5: with a perfect prediction it averages to -log p at least."""
        if not instance.bound:
            pytest.skip("this objective is no bound, which is allowed")
        oracles: list[Oracle] = [Oracle(length=3)]
        if not instance.absorbing_only:
            oracles += [NoisyOracle(Mixed(masks), Linear(), length=3) for masks in (0.0, 0.5)]
        for oracle in oracles:
            text, rows = oracle.texts[20], 20_000
            levels = (torch.randperm(rows, generator=_generator()) % 100 + 0.5) / 100
            losses = estimate(
                oracle.model(Linear()),
                Sequences(text.expand(rows, -1), torch.ones(rows, 3, dtype=torch.bool)),
                levels[:, None].double(),
                RowRandom.numbered(0, range(rows), 3),
                objective=instance,
            )
            assert (rows,) == tuple(losses.shape)
            error = float(losses.std()) / math.sqrt(rows)
            exact = -float(oracle.log_joint[20])
            assert float(losses.mean()) > 0.99 * exact - 3.5 * error, "below -log p"

    def test_is_a_bound_of_the_targets_given_the_rest(self, instance: Objective) -> None:
        """T1, T14: with a perfect prediction it averages to -log p(targets | rest) at least."""
        if not instance.bound:
            pytest.skip("this objective is no bound, which is allowed")
        if _is_former(instance):
            pytest.skip(_FORMER)
        oracles: list[Oracle] = [Oracle(length=3)]
        if not instance.absorbing_only:
            oracles += [
                NoisyOracle(Mixed(masks), Linear(), length=3, given=(1,)) for masks in (0.0, 0.5)
            ]
        targets, rows = torch.tensor([True, False, True]), 20_000
        for oracle in oracles:
            text = oracle.texts[20].expand(rows, -1)
            levels = (torch.randperm(rows, generator=_generator()) % 100 + 0.5) / 100
            losses = estimate(
                oracle.model(Linear()),
                Sequences(text, torch.ones_like(text).bool(), targets.expand(rows, -1)),
                levels[:, None].double(),
                RowRandom.numbered(0, range(rows), 3),
                objective=instance,
            )
            error = float(losses.std()) / math.sqrt(rows)
            exact = -float(oracle.log_conditional(targets)[20])
            assert float(losses.mean()) > 0.99 * exact - 3.5 * error, "below -log p(targets | rest)"

    def test_teaches_every_parameter(self, instance: Objective) -> None:
        """Through a network of the defaults, for every corruption that it serves, in blocks too."""
        for corruption, blocks in self._served(instance):
            model = _model(corruption, blocks)
            losses = _estimate(instance, model, 8, blocks)
            assert (8,) == tuple(losses.shape)
            assert losses.isfinite().all()
            assert_learns(model, losses)

    @staticmethod
    def _served(instance: Objective) -> list[tuple[str, int | None]]:
        """Corruptions, and sizes of blocks."""
        masks: list[tuple[str, int | None]] = [("absorbing", None), ("absorbing", 2)]
        return masks if instance.absorbing_only else [*masks, ("uniform", None), ("hybrid", None)]

    def test_padding_counts_for_nothing(self, instance: Objective) -> None:
        """T6, T16: neither corrupted nor predicted nor counted, and its tokens change nothing."""
        model, x0, valid = _model("absorbing", None), _texts(6), _all(6)
        valid[:, 5:] = False
        whole, other = (
            estimate(
                model,
                Sequences(x0.masked_fill(~valid, pad), valid),
                _times(6, 8, None),
                _random(6),
                objective=instance,
            )
            for pad in (4, 2)
        )
        assert_close(whole, other)

    def test_given_parts_are_clean_and_cost_nothing(self, instance: Objective) -> None:
        """T14: of every corruption that it serves, in blocks too; a begin token is such a part."""
        if _is_former(instance):
            pytest.skip(_FORMER)
        x0, targets = _texts(64), torch.arange(8) % 3 > 0
        targets = targets & (torch.arange(64) % 4 > 0)[:, None]  # nothing of every fourth row
        for corruption, blocks in self._served(instance):
            model, times = _model(corruption, blocks), _times(64, 8, blocks)
            context = TrainingContext(model.noise, model.process)
            noisy = instance.draw(x0, targets, times, _random(64), context)
            changed = noisy.z != x0
            assert not bool((changed & ~targets).any()), "a given token was noised"
            assert bool((changed & targets).any()), "no target was noised"
            texts = Sequences(x0, _all(64), targets)
            losses = estimate(model, texts, times, _random(64), objective=instance)
            assert losses.isfinite().all()
            assert not bool(losses[::4].any()), "a row that is given as a whole has a loss"
            if model.process.absorbing:
                clean = ~changed.any(-1)
                assert not bool(losses[clean].any()), "a row without noise has a loss"
            assert bool(losses[changed.any(-1)].any()), "no noisy target has a loss"

    def test_seed_decides(self, instance: Objective) -> None:
        """The generator and the times are the only source of noise."""
        model = _model("absorbing", None)
        first, again = (_estimate(instance, model, 6, None) for _ in range(2))
        assert torch.equal(first, again)


def _is_former(objective: Objective) -> bool:
    return "losses" in vars(type(objective))


def _estimate(objective: Objective, model: Model, rows: int, blocks: int | None) -> Tensor:
    times = _times(rows, 8, blocks)
    texts = Sequences(_texts(rows), _all(rows))
    return estimate(model, texts, times, _random(rows), objective=objective)


def _model(corruption: str, block_size: int | None) -> Model:
    config = resolve(
        {
            "backbone": {"dim": 8, "layers": 1, "heads": 2},
            "corruption": {"type": corruption},
            "diffusion": {"length": 8, **({"block_size": block_size} if block_size else {})},
        }
    ).config
    model: Model = stir(Model.build(config, VOCABULARY))
    return model


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _random(rows: int) -> RowRandom:
    return RowRandom.numbered(0, range(rows), 8)


def _texts(rows: int) -> Tensor:
    return torch.tensor([0, 1, 2, 6, 5, 2, 1, 0]).expand(rows, -1).contiguous()


def _all(rows: int) -> Tensor:
    return torch.ones(rows, 8, dtype=torch.bool)


def _times(rows: int, length: int, block_size: int | None) -> Tensor:
    blocks = length // (block_size or length)
    return torch.linspace(0.05, 0.95, rows * blocks, dtype=torch.float64).view(rows, blocks)
