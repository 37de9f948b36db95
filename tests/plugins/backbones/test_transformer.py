"""The transformer."""

import pytest
import torch

from aios_core.contracts import Condition
from aios_core.testing.contracts.backbone import BackboneContract
from aios_plugins.backbones.transformer import Transformer

SMALL = {"dim": 16, "layers": 2, "heads": 2}


class TestTransformer(BackboneContract):
    component = Transformer(**SMALL)


class TestTimeConditioned(BackboneContract):
    component = Transformer(**SMALL, time_conditioned=True)


class TestDropout(BackboneContract):
    component = Transformer(**SMALL, dropout=0.5)


def test_width_must_divide_into_pairs():
    with pytest.raises(ValueError, match=r"dim = 12 is not a multiple of 2 \* heads = 8"):
        Transformer(dim=12, heads=4)


def test_twin_has_the_same_parameters():
    """Causal or not, the networks have the same parameters, so that the two can be compared."""
    both, causal = (Transformer(**SMALL).build(causal=c).state_dict() for c in (False, True))
    assert {k: v.shape for k, v in both.items()} == {k: v.shape for k, v in causal.items()}


def test_starts_untold_of_the_time():
    """The modulation starts at zero, so training starts as without conditioning."""
    torch.manual_seed(0)
    module = Transformer(**SMALL, time_conditioned=True).build()
    h = torch.randn(1, 5, 16)
    early, late = (module(h, torch.tensor([t]).double(), None) for t in (0.1, 0.9))
    assert torch.equal(early, late)


def test_dropout_is_for_training():
    module = Transformer(**SMALL, dropout=0.5).build()
    h, t = torch.randn(1, 5, 16), torch.tensor([0.5]).double()
    assert not torch.equal(module(h, t, None), module(h, t, None))
    module.eval()
    assert torch.equal(module(h, t, None), module(h, t, None))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_keeps_its_precision(dtype):
    module = Transformer(**SMALL, time_conditioned=True).build().to(dtype)
    out = module(torch.randn(2, 5, 16, dtype=dtype), torch.rand(2).double(), None)
    assert dtype == out.dtype


def test_padding_on_the_left_is_invisible():
    """Positions are relative; the suite says the same of the causal network."""
    torch.manual_seed(0)
    module = Transformer(**SMALL).build()
    h, t = torch.randn(2, 5, 16), torch.rand(2).double()
    padded = torch.cat((torch.full((2, 3, 16), 7.0), h), 1)
    out = module(padded, t, Condition(valid=torch.arange(8).expand(2, -1) >= 3))
    assert out.isfinite().all()
    torch.testing.assert_close(out[:, 3:], module(h, t, None))


def test_a_network_that_sees_both_sides_reads_on():
    """The new positions see all and each other; for them one layer makes no approximation."""
    torch.manual_seed(0)
    module = Transformer(dim=16, layers=1, heads=2).build()
    h = torch.randn(2, 7, 16)
    cache = module.new_cache(7)
    module(h[:, :4], None, Condition(cache=cache))
    late = module(h[:, 4:], None, Condition(cache=cache))
    torch.testing.assert_close(late, module(h, None, None)[:, 4:])


def test_a_cache_takes_no_more_than_it_was_made_for():
    module = Transformer(**SMALL).build(causal=True)
    with pytest.raises(AssertionError, match="5 positions do not fit into a cache of 4"):
        module(torch.randn(1, 5, 16), None, Condition(cache=module.new_cache(4)))


def test_more_positions_than_were_prepared(monkeypatch):
    """A longer input is answered as by a network that had all its angles from the start."""
    from aios_plugins.backbones import transformer

    h = torch.randn(1, 40, 8)
    answers = []
    for prepared in (64, 16):
        monkeypatch.setattr(transformer, "POSITIONS", prepared)
        torch.manual_seed(0)
        answers.append(transformer.Transformer(dim=8, layers=1, heads=2).build()(h, None, None))

    assert torch.equal(*answers)


def test_a_block_is_that_of_its_formula():
    """adaLN without a gate: norm(h) * (1 + scale) + shift, in front of both residual paths."""
    torch.manual_seed(0)
    module = Transformer(**SMALL, time_conditioned=True).build().double().eval()
    block = module.blocks[0]
    torch.nn.init.normal_(block.modulation.weight)
    torch.nn.init.normal_(block.modulation.bias)
    h, time = torch.randn(1, 5, 16).double(), torch.randn(1, 1, 16).double()
    seen = {}
    block.attention.register_forward_hook(lambda _, given, out: seen.update(first=given[0], a=out))
    block.feed_forward.register_forward_hook(lambda _, given, o: seen.update(second=given[0], f=o))
    calls = []
    block.register_forward_pre_hook(lambda _, given: calls.append(given))
    module(h, torch.tensor([0.5]).double(), None)
    _, _, view, layer = calls[0]
    out = block(h, time, view, layer)

    def norm(x):
        return x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float64).eps).sqrt()

    parts = time @ block.modulation.weight.T + block.modulation.bias
    scale, shift, scale_2, shift_2 = parts.split(16, -1)
    torch.testing.assert_close(norm(h) * (1 + scale) + shift, seen["first"])
    between = h + seen["a"]
    torch.testing.assert_close(norm(between) * (1 + scale_2) + shift_2, seen["second"])
    torch.testing.assert_close(between + seen["f"], out)
    gate, value = (seen["second"] @ block.feed_forward.up.weight.T).chunk(2, -1)
    expected = (gate * gate.sigmoid() * value) @ block.feed_forward.out.weight.T
    torch.testing.assert_close(expected, seen["f"])
