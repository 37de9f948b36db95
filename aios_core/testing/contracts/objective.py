"""What every objective must do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from aios_core.config import resolve
from aios_core.contracts import Vocabulary
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import estimate
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.contracts.sampler import Linear, Mixed
from aios_core.testing.modules import assert_learns, stir
from aios_core.testing.oracle import NoisyOracle, Oracle

if TYPE_CHECKING:
    from aios_core.contracts import Objective

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)


class ObjectiveContract(Contract["Objective"]):
    """Subclass it and set ``component``: an objective's class, or one that is built."""

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
                text.expand(rows, -1),
                torch.ones(rows, 3, dtype=torch.bool),
                levels[:, None].double(),
                _generator(),
                objective=instance,
            )
            assert (rows,) == tuple(losses.shape)
            error = float(losses.std()) / math.sqrt(rows)
            exact = -float(oracle.log_joint[20])
            assert float(losses.mean()) > 0.99 * exact - 3.5 * error, "below -log p"

    def test_teaches_every_parameter(self, instance: Objective) -> None:
        """Through a network of the defaults, for every corruption that it serves, in blocks too."""
        served = ("absorbing",) if instance.absorbing_only else ("absorbing", "uniform", "hybrid")
        for corruption, blocks in [(corruption, None) for corruption in served] + [
            ("absorbing", 2)
        ]:
            model = _model(corruption, blocks)
            losses = _estimate(instance, model, 8, blocks)
            assert (8,) == tuple(losses.shape)
            assert losses.isfinite().all()
            assert_learns(model, losses)

    def test_padding_counts_for_nothing(self, instance: Objective) -> None:
        """T6, T16: neither corrupted nor predicted nor counted, and its tokens change nothing."""
        model, x0, valid = _model("absorbing", None), _texts(6), _all(6)
        valid[:, 5:] = False
        whole, other = (
            estimate(
                model,
                x0.masked_fill(~valid, pad),
                valid,
                _times(6, 8, None),
                _generator(),
                objective=instance,
            )
            for pad in (4, 2)
        )
        assert_close(whole, other)

    def test_seed_decides(self, instance: Objective) -> None:
        """The generator and the times are the only source of noise."""
        model = _model("absorbing", None)
        first, again = (_estimate(instance, model, 6, None) for _ in range(2))
        assert torch.equal(first, again)


def _estimate(objective: Objective, model: Model, rows: int, blocks: int | None) -> Tensor:
    times = _times(rows, 8, blocks)
    return estimate(model, _texts(rows), _all(rows), times, _generator(), objective=objective)


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


def _texts(rows: int) -> Tensor:
    return torch.tensor([0, 1, 2, 6, 5, 2, 1, 0]).expand(rows, -1).contiguous()


def _all(rows: int) -> Tensor:
    return torch.ones(rows, 8, dtype=torch.bool)


def _times(rows: int, length: int, block_size: int | None) -> Tensor:
    blocks = length // (block_size or length)
    return torch.linspace(0.05, 0.95, rows * blocks, dtype=torch.float64).view(rows, blocks)
