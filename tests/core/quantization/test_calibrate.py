"""Statistics of what a model's layers see while it denoises."""

import pytest
import torch
from torch.testing import assert_close

from aios_core.config import resolve
from aios_core.contracts import Sequences, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.errors import QuantizationError
from aios_core.quantization import calibrate as module
from aios_core.quantization.calibrate import calibrate
from aios_core.quantization.linear import linears

VOCABULARY = Vocabulary(size=13, mask_id=9, pad_id=10, bos_id=11, eos_id=12)


@pytest.fixture(scope="module", params=["diffusion", "ar"])
def model(request):
    backbone = {"type": "transformer", "dim": 16, "layers": 2, "heads": 2}
    config = resolve({"backbone": backbone, "mode": request.param}).config
    return Model.build(config, VOCABULARY)


@pytest.fixture
def texts():
    ids = torch.randint(0, 9, (40, 12), generator=torch.Generator().manual_seed(0))
    return Sequences(ids, torch.ones_like(ids, dtype=torch.bool))


def test_moments_are_those_of_the_inputs(model, texts):
    seen, hooks = {}, []
    for name, layer in linears(model).items():
        seen[name] = []
        keep = lambda _, inputs, own=seen[name]: own.append(inputs[0].flatten(0, -2))  # noqa: E731
        hooks.append(layer.register_forward_pre_hook(keep))
    result = calibrate(model, texts, batch_size=16)
    for hook in hooks:
        hook.remove()

    assert set(linears(model)) == set(result)
    for name, inputs in seen.items():
        x = torch.cat(inputs).double()
        assert len(x) == result[name].count
        assert_close(result[name].second_moment.double(), x.T @ x / len(x), rtol=1e-4, atol=1e-6)


def test_nothing_stays_behind(model, texts):
    calibrate(model, texts)

    assert not any(layer._forward_pre_hooks for layer in linears(model).values())
    assert all(p.grad is None for p in model.parameters())


def test_the_seed_decides(model, texts):
    first, again, other = (calibrate(model, texts, seed=seed) for seed in (0, 0, 1))
    for name, each in first.items():
        assert torch.equal(each.second_moment, again[name].second_moment)
    if model.mode == "diffusion":
        assert any(not torch.equal(first[n].second_moment, other[n].second_moment) for n in first)


def test_every_mask_rate_is_seen(model, texts):
    """The texts of one calibration are masked from hardly at all to nearly all."""
    if model.mode == "ar":
        pytest.skip("no text is masked")
    rates = []
    hook = model.head.embedding.register_forward_pre_hook(
        lambda _, inputs: rates.extend((inputs[0] == 9).double().mean(1).tolist())
    )
    calibrate(model, texts)
    hook.remove()

    assert 40 == len(rates)
    for low in (0, 0.25, 0.5, 0.75):
        assert 4 <= sum(low <= rate <= low + 0.25 for rate in rates) <= 20
    # Not in the order of the texts, which may mean something.
    places = torch.tensor([rates, list(range(40))], dtype=torch.float64)
    assert abs(float(torch.corrcoef(places)[0, 1])) < 0.5


def test_times_are_spread_evenly_over_all_texts(model, texts, monkeypatch):
    """One in each fortieth of [0, 1], whatever batch its text is in."""
    times, loss = [], module.training_loss

    def recorded(model, sequences, t, random):
        times.extend(t.tolist())
        return loss(model, sequences, t, random)

    monkeypatch.setattr(module, "training_loss", recorded)
    calibrate(model, texts, batch_size=7)

    assert list(range(40)) == sorted(int(40 * t) for t in times)
    assert sorted(times) != times


def test_without_texts(model):
    none = torch.empty(0, 12, dtype=torch.int64)
    with pytest.raises(QuantizationError, match="no texts to calibrate with"):
        calibrate(model, Sequences(none, none.bool()))
