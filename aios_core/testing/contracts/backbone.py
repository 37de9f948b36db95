"""What every backbone must do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from aios_core.contracts import Condition
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.modules import assert_learns, same_parameters, seeded, stir
from aios_core.training.recomputing import recompute

if TYPE_CHECKING:
    from aios_core.contracts import Backbone

LENGTH = 9


class BackboneContract(Contract["Backbone"]):
    """Subclass it and set ``component``: a backbone's class, or one that is built (and small)."""

    varied: ClassVar = {
        "test_shapes": {"causal": False},
        "test_padding_is_invisible": {"causal": False},
        "test_rows_are_independent": {},
    }

    @classmethod
    def try_out(cls, plugin: Backbone) -> None:
        """What it builds are modules of torch."""
        expect(seeded(plugin.build), nn.Module, "build")

    @pytest.mark.parametrize("causal", [False, True])
    def test_shapes(self, instance: Backbone, *, causal: bool) -> None:
        """States to states, of any number of rows and any length."""
        module = seeded(lambda: instance.build(causal=causal)).eval()
        for rows, length in ((1, 1), (3, LENGTH)):
            h = _states(instance, rows, length)
            out = module(h, _t(rows, causal=causal), None)
            assert h.shape == out.shape
            assert out.isfinite().all()

    @pytest.mark.parametrize("causal", [False, True])
    def test_every_parameter_learns(self, instance: Backbone, *, causal: bool) -> None:
        """Also those that start at zero or behind a zero."""
        module = stir(seeded(lambda: instance.build(causal=causal)))
        assert_learns(module, module(_states(instance, 2), _t(2, causal=causal), None))

    @pytest.mark.parametrize("causal", [False, True])
    def test_seed_decides(self, instance: Backbone, *, causal: bool) -> None:
        """Torch's generator is the only source of the first weights; no draw when evaluating."""
        first, again = (seeded(lambda: instance.build(causal=causal)).eval() for _ in range(2))
        assert same_parameters(first, again)
        assert not same_parameters(first, seeded(lambda: instance.build(causal=causal), seed=1))
        h, t = _states(instance, 2), _t(2, causal=causal)
        assert torch.equal(first(h, t, None), again(h, t, None))

    def test_causal_network_sees_no_future(self, instance: Backbone) -> None:
        """T22: what comes after a position changes nothing there."""
        module = stir(seeded(lambda: instance.build(causal=True)))
        h = _states(instance, 1)
        before = module(h, None, None)
        for i in range(1, LENGTH):
            changed = h.clone()
            changed[:, i:] += 1
            after = module(changed, None, None)
            assert_close(after[:, :i], before[:, :i], rtol=1e-4, atol=1e-5)
            assert not torch.allclose(before[:, i:], after[:, i:])

    def test_bidirectional_network_sees_both_sides(self, instance: Backbone) -> None:
        """Every output depends on every input."""
        module = stir(seeded(instance.build))
        h, t = _states(instance, 1), _t(1)
        before = module(h, t, None)
        for i in range(LENGTH):
            changed = h.clone()
            changed[:, i] += 1
            seen = (module(changed, t, None) - before).abs().amax(-1)[0]
            assert (seen > 0).all(), f"no change at {(seen == 0).nonzero()[:, 0].tolist()} by {i}"

    @pytest.mark.parametrize("causal", [False, True])
    def test_padding_is_invisible(self, instance: Backbone, *, causal: bool) -> None:
        """T16: what stands behind a text changes nothing in it, however far it reaches."""
        module = stir(seeded(lambda: instance.build(causal=causal)))
        h, t = _states(instance, 2), _t(2, causal=causal)
        expected = module(h, t, None)
        padded = torch.cat((h, torch.full_like(h[:, :4], 7.0)), 1)
        valid = torch.arange(LENGTH + 4).expand(2, -1) < LENGTH
        out = module(padded, t, Condition(valid=valid))
        assert out.isfinite().all(), "padding gives NaN"
        assert_close(out[:, :LENGTH], expected, rtol=1e-3, atol=1e-4)

    def test_padding_in_front_is_invisible(self, instance: Backbone) -> None:
        """T16: prompts of different lengths are generated from together, padded on the left."""
        module = stir(seeded(lambda: instance.build(causal=True)))
        h = _states(instance, 2)
        padded = torch.cat((torch.full_like(h[:, :4], 7.0), h), 1)
        valid = torch.arange(LENGTH + 4).expand(2, -1) >= 4
        out = module(padded, None, Condition(valid=valid))
        assert out.isfinite().all(), "padding gives NaN"
        assert_close(out[:, 4:], module(h, None, None), rtol=1e-3, atol=1e-4)

    def test_mask_and_positions_are_obeyed(self, instance: Backbone) -> None:
        """T22: two texts side by side that do not see each other are two texts."""
        if not instance.serves_masks:
            pytest.skip("this backbone takes no masks, which is allowed")
        module = stir(seeded(instance.build))
        first, second = _states(instance, 2), _states(instance, 2).flip(0)
        t = _t(2)
        assert t is not None
        own = torch.arange(2 * LENGTH) // LENGTH
        positions = torch.arange(LENGTH).repeat(2)[None, :, None]
        condition = Condition(mask=own[:, None] == own, positions=positions)
        times = t[:, None].expand(-1, 2 * LENGTH)
        together = module(torch.cat((first, second), 1), times, condition)
        apart = torch.cat((module(first, t, None), module(second, t, None)), 1)
        assert_close(together, apart, rtol=1e-3, atol=1e-4)
        valid = torch.arange(LENGTH).expand(2, -1) < LENGTH - 2
        padded = module(
            torch.cat((first, second), 1),
            times,
            Condition(
                torch.cat((valid, valid), 1), mask=condition.mask, positions=condition.positions
            ),
        )
        expected = module(first[:, : LENGTH - 2], t, None)
        assert_close(padded[:, : LENGTH - 2], expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("part", [None, slice(2, 5)])
    def test_each_row_stands_where_it_is_said_to(
        self, instance: Backbone, part: slice | None
    ) -> None:
        """Two rows read in two orders, each position with its place, are read as they stand."""
        if not instance.serves_masks:
            pytest.skip("this backbone takes no positions, which is allowed")
        module = stir(seeded(instance.build))
        h, t = _states(instance, 2), _t(2)
        order = torch.stack((torch.arange(LENGTH).flip(0), torch.arange(LENGTH).roll(2)))
        mixed = torch.stack([row[places] for row, places in zip(h, order, strict=True)])
        condition = Condition(positions=order[..., None].expand(-1, -1, 1), part=part)
        out, expected = module(mixed, t, condition), module(h, t, None)
        expected = torch.stack([row[places] for row, places in zip(expected, order, strict=True)])
        if part is not None:
            expected = expected[:, part]
            out = out[:, part] if out.shape[1] == LENGTH else out
        assert_close(out, expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("padding", [0, 3])
    def test_reads_once_as_it_reads_twice(self, instance: Backbone, padding: int) -> None:
        """T22: in pieces, with a cache, a causal module answers as for the whole."""
        module = stir(seeded(lambda: instance.build(causal=True)))
        if not hasattr(module, "new_cache"):
            pytest.skip("this backbone has no cache, which is allowed")
        h = _states(instance, 2)
        valid = torch.arange(LENGTH).expand(2, -1) >= padding
        known = valid if padding else None
        expected = module(h, None, Condition(valid=known))
        cache = module.new_cache(LENGTH)
        for start, end in ((0, 4), (4, 6), (4, 5), (5, 6), (6, LENGTH)):
            cache.length = start  # what was read beyond is forgotten
            seen = None if known is None else known[:, :end]
            out = module(h[:, start:end], None, Condition(valid=seen, cache=cache))
            assert cache.length == end
            where = valid[:, start:end]
            assert_close(out[where], expected[:, start:end][where], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("padding", [0, 2])
    def test_rereading_changes_nothing(self, instance: Backbone, padding: int) -> None:
        """A bidirectional module with a cache: some positions again, among others remembered."""
        module = stir(seeded(instance.build))
        if not hasattr(module, "new_cache"):
            pytest.skip("this backbone has no cache, which is allowed")
        h, t = _states(instance, 2), _t(2)
        valid = torch.arange(LENGTH).expand(2, -1) < LENGTH - padding
        known = valid if padding else None
        expected = module(h, t, Condition(valid=known))
        cache = module.new_cache(LENGTH)
        for start, end in ((0, LENGTH), (3, LENGTH), (3, 5), (0, 2), (3, 5)):
            cache.length, cache.behind = start, LENGTH - end
            out = module(h[:, start:end], t, Condition(valid=known, cache=cache))
            where = valid[:, start:end]
            assert_close(out[where], expected[:, start:end][where], rtol=1e-4, atol=3e-5)

    @pytest.mark.parametrize("padding", [0, 2])
    @pytest.mark.parametrize("causal", [False, True])
    def test_part_is_as_in_the_whole(
        self, instance: Backbone, padding: int, *, causal: bool
    ) -> None:
        """Asked for some positions it answers for those, or for all, as it does otherwise."""
        module = stir(seeded(lambda: instance.build(causal=causal)))
        h, t = _states(instance, 2), _t(2, causal=causal)
        valid = torch.arange(LENGTH).expand(2, -1) < LENGTH - padding
        known = valid if padding else None
        part = slice(2, 5)
        expected = module(h, t, Condition(valid=known))[:, part]
        out = module(h, t, Condition(valid=known, part=part))
        if out.shape[1] == LENGTH:
            out = out[:, part]
        where = valid[:, part]
        assert_close(out[where], expected[where], rtol=1e-4, atol=1e-5)

    def test_injections_are_heard_in_order(self, instance: Backbone) -> None:
        """What is added after each layer is added in every pass, and an echo changes nothing."""
        module = stir(seeded(instance.build))
        h, t, layers = _states(instance, 2), _t(2), list[int]()

        def echo(h: Tensor, layer: int) -> Tensor:
            layers.append(layer)
            return h + 0

        assert torch.equal(module(h, t, None), module(h, t, Condition(inject=echo)))
        assert list(range(instance.injections)) == layers
        if layers:
            shifted = Condition(inject=lambda h, _: h + 1)
            assert not torch.allclose(module(h, t, None), module(h, t, shifted))

    def test_layers_are_computed_again_to_the_same_gradients(self, instance: Backbone) -> None:
        """Those that ``recomputed`` names; fewer numbers are kept for the backward pass."""
        if instance.recomputed is None:
            pytest.skip("names no layers to compute again")
        gradients, kept = [], []
        for again in (False, True):
            module = stir(seeded(instance.build)).train()
            if again:
                recompute(module, instance)
            sizes: list[int] = []

            def keep(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
                sizes.append(tensor.numel())
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                out = seeded(partial(module, _states(instance, 2), _t(2), None))
            kept.append(sum(sizes))
            out.square().sum().backward()
            gradients.append({n: p.grad for n, p in module.named_parameters()})
        assert kept[1] < kept[0]
        assert gradients[0].keys() == gradients[1].keys()
        for name, gradient in gradients[0].items():
            assert_close(gradient, gradients[1][name])

    def test_rows_are_independent(self, instance: Backbone) -> None:
        """T16: a row's answer does not depend on its batch mates."""
        module = stir(seeded(instance.build))
        h, t = _states(instance, 3), _t(3)
        together = module(h, t, None)
        for i in range(3):
            alone = module(h[i : i + 1], t[i : i + 1] if t is not None else None, None)
            assert_close(alone[0], together[i], rtol=1e-3, atol=1e-4)

    def test_tells_whether_time_matters(self, instance: Backbone) -> None:
        """T15: a prediction is reused on the word of ``time_conditioned``."""
        module = stir(seeded(instance.build))
        h = _states(instance, 1)
        early, late = (module(h, torch.tensor([t]).double(), None) for t in (0.1, 0.9))
        assert instance.time_conditioned != torch.equal(early, late)


def _states(backbone: Backbone, rows: int, length: int = LENGTH) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, length, backbone.dim, generator=generator)


def _t(rows: int, *, causal: bool = False) -> Tensor | None:
    return None if causal else torch.linspace(0.1, 0.9, rows, dtype=torch.float64)
