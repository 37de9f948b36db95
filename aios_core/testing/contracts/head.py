"""What every projection head must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn
from torch.testing import assert_close

from aios_core.contracts import Vocabulary
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.modules import assert_learns, same_parameters, seeded, stir

if TYPE_CHECKING:
    from aios_core.contracts import ProjectionHead

VOCABULARY = Vocabulary(size=13, mask_id=9, pad_id=10, bos_id=11, eos_id=12)
DIM = 16


class HeadContract(Contract["ProjectionHead"]):
    """Subclass it and set ``component``: a head's class, or one that is built."""

    numbers: ClassVar = "aios_core.testing.contracts.numbers:NumberHeadContract"

    varied: ClassVar = {
        "test_shapes": {},
        "test_decodes_each_position_by_itself": {},
        "test_weights_can_be_moved": {},
    }

    @classmethod
    def try_out(cls, plugin: ProjectionHead) -> None:
        """What it builds are modules of torch."""
        expect(seeded(lambda: plugin.build(DIM, VOCABULARY)), nn.Module, "build")

    def test_shapes(self, instance: ProjectionHead) -> None:
        """Tokens to states of the asked width, and states to logits of every token."""
        module = seeded(lambda: instance.build(DIM, VOCABULARY))
        for rows, length in ((1, 1), (2, 7)):
            h = module.encode(torch.arange(rows * length).reshape(rows, length) % 13)
            assert (rows, length, DIM) == tuple(h.shape)
            logits = module.decode(h)
            assert (rows, length, VOCABULARY.size) == tuple(logits.shape)
            assert logits.isfinite().all()

    def test_decodes_each_position_by_itself(self, instance: ProjectionHead) -> None:
        """Training and samplers decode only where a token is wanted."""
        module = stir(seeded(lambda: instance.build(DIM, VOCABULARY)))
        h = module.encode(torch.arange(14).reshape(2, 7) % 13)
        together, alone = module.decode(h), [module.decode(h[:, i : i + 1]) for i in range(7)]
        assert_close(torch.cat(alone, 1), together, rtol=1e-4, atol=1e-5)

    def test_every_parameter_learns(self, instance: ProjectionHead) -> None:
        """From tokens and states that are all there."""
        module = stir(seeded(lambda: instance.build(DIM, VOCABULARY)))
        assert_learns(module, module.decode(module.encode(torch.arange(13)[None])))

    def test_seed_decides(self, instance: ProjectionHead) -> None:
        """Torch's generator is the only source of the first weights."""
        first, again = (seeded(lambda: instance.build(DIM, VOCABULARY)) for _ in range(2))
        assert same_parameters(first, again)
        other = seeded(lambda: instance.build(DIM, VOCABULARY), seed=1)
        assert not same_parameters(first, other)

    def test_weights_can_be_moved(self, instance: ProjectionHead) -> None:
        """A saved state restores the same function, strictly."""
        module = stir(seeded(lambda: instance.build(DIM, VOCABULARY)))
        other = seeded(lambda: instance.build(DIM, VOCABULARY), seed=1).eval()
        other.load_state_dict(module.state_dict(), strict=True)
        x = torch.arange(13)[None]
        assert torch.equal(module.encode(x), other.encode(x))
        assert torch.equal(module.decode(module.encode(x)), other.decode(other.encode(x)))
