from __future__ import annotations

import math
import warnings
from functools import partial

import pytest
import torch
from attrs import evolve
from torch import nn

from aios_core.config.schema import TrainingConfig
from aios_core.errors import ConfigError, PluginError, TrainingError
from aios_core.training.data import prepare
from aios_core.training.device import autocast, choose
from aios_core.training.ema import Average
from aios_core.training.learner import Learner, _seeds, weights_of
from aios_plugins.backbones.transformer import Transformer


def weights(learner):
    return {name: p.detach().clone() for name, p in learner.model.named_parameters()}


def same(first, other):
    return all(first[name].equal(other[name]) for name in first)


@pytest.fixture
def learner(tiny):
    def learner(*overrides):
        resolved = tiny(*overrides)
        return Learner(resolved.config, prepare(resolved))

    return learner


def test_a_step_is_a_function_of_weights_seed_and_number(learner):
    first, other = learner(), learner()
    torch.manual_seed(1)
    losses = [first.step(step).loss for step in range(3)]
    torch.manual_seed(2)

    assert losses == [other.step(step).loss for step in range(3)]
    assert same(weights(first), weights(other))
    assert not same(weights(first), weights(learner()))


@pytest.mark.parametrize("part", [0, 1], ids=["noise", "dropout"])
def test_every_draw_depends_on_the_seed_and_on_the_step(part):
    """Or runs of several seeds would share their noise, and their spread would be too narrow."""
    results = {_seeds(seed, step)[part] for seed in range(4) for step in range(4)}
    assert 16 == len(results)


@pytest.mark.parametrize("second", [(1, 0), (0, 1)], ids=["seed", "step"])
def test_other_seeds_and_steps_hide_other_tokens(learner, monkeypatch, second):
    """Of the same texts, with the same weights."""
    hidden = []
    for seed, step in ((0, 0), second):
        own = learner()
        own._config = evolve(own._config, seed=seed)
        monkeypatch.setattr(
            type(own._tokens), "batch", lambda self, step, seed, rows: _windows(self, rows)
        )
        encode = own.model.head.encode
        monkeypatch.setattr(
            own.model.head, "encode", lambda x, encode=encode: hidden.append(x) or encode(x)
        )
        own.step(step)
    mask_id = own.model.vocabulary.mask_id
    assert not torch.equal(hidden[0] == mask_id, hidden[1] == mask_id)
    shown = (hidden[0] != mask_id) & (hidden[1] != mask_id)
    assert torch.equal(hidden[0][shown], hidden[1][shown])


def _windows(tokens, rows):
    return tokens.sequences(16, rows)


def test_dropout_is_repeated_too(learner):
    first, other = learner("backbone.dropout=0.5"), learner("backbone.dropout=0.5")
    torch.rand(7)

    assert first.step(0).loss == other.step(0).loss


def test_the_global_generator_is_left_alone(learner):
    own = learner()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    own.step(0)

    assert expected.equal(torch.rand(1))


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_accumulation_is_a_larger_batch(learner, mode):
    settings = (f"mode={mode}", "training.learning_rate=1e-3")
    whole = learner("training.batch_size=8", *settings)
    parts = learner("training.batch_size=2", "training.accumulate=4", *settings)
    expected, got = whole.step(0), parts.step(0)

    assert got.loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
    assert got.grad_norm.item() == pytest.approx(expected.grad_norm.item(), rel=1e-4)
    assert all(
        torch.allclose(first, second, atol=1e-5)
        for first, second in zip(weights(whole).values(), weights(parts).values(), strict=True)
    )


def test_the_strata_of_times_span_the_accumulated_batch(learner, monkeypatch):
    """T19: each of the B * A strata holds exactly one time."""
    seen = []
    from aios_core.training import learner as module

    real = module.training_losses

    def watched(model, sequences, times, random, **settings):
        seen.extend(times.flatten().tolist())
        return real(model, sequences, times, random, **settings)

    monkeypatch.setattr(module, "training_losses", watched)
    settings = ("training.batch_size=4", "training.accumulate=8")
    for blocks in ((), ("diffusion.block_size=8",)):
        seen.clear()
        own = learner(*settings, *blocks)
        own.step(0)
        strata = 32 * (own.model.length // own.model.block_size)

        result = sorted(int((time - 1e-4) / (1 - 1e-4) * strata) for time in seen)
        assert list(range(strata)) == result


def _step(first, monkeypatch):
    """What the first step of a learner hands to the loss: times, and the objective."""
    from aios_core.training import learner as module

    seen, real = [], module.training_losses

    def watched(model, sequences, times, random, *, objective):
        seen.append((times, objective))
        return real(model, sequences, times, random, objective=objective)

    monkeypatch.setattr(module, "training_losses", watched)
    first.step(0)
    monkeypatch.undo()
    return torch.cat([times.flatten() for times, _ in seen]), seen[0][1]


def test_a_step_goes_by_every_setting_of_diffusion(learner, monkeypatch):
    """How times are drawn, from where on, within which mask rates, and what is minimised."""
    many = "training.batch_size=64"
    even, nelbo = _step(learner(many), monkeypatch)
    first = learner()._config.diffusion.time_epsilon
    assert list(range(64)) == sorted(((even - first) / (1 - first) * 64).long().tolist())
    assert nelbo == learner()._config.objective
    other, count = _step(
        learner(many, "diffusion.times=iid", "objective.type=exact-count"), monkeypatch
    )
    assert len(set((other * 64).long().tolist())) < 60
    assert "ExactCount" == type(count).__name__
    late, _ = _step(learner("training.batch_size=2000", "diffusion.time_epsilon=1e-3"), monkeypatch)
    early, _ = _step(learner("training.batch_size=2000"), monkeypatch)
    assert early.min() < 1e-3 <= late.min()
    clipped, _ = _step(
        learner(many, "diffusion.mask_rates=[0.3,0.5]", "noise.type=cosine"), monkeypatch
    )
    rates = torch.sin(torch.pi / 2 * clipped)
    assert 0.3 - 1e-9 <= rates.min() < 0.32
    assert 0.48 < rates.max() <= 0.5 + 1e-9


def test_the_gradient_is_clipped_to_the_norm_that_is_set(learner):
    """And the norm of before is what is reported."""
    for most in (1e-3, 1e3):
        own = learner(f"training.clip_norm={most}")
        reported = own.step(0).grad_norm
        grads = [p.grad for p in own.model.parameters() if p.grad is not None]
        norm = torch.stack([grad.norm() for grad in grads]).norm()
        assert pytest.approx(min(most, float(reported)), rel=1e-3) == float(norm)
        assert 1e-3 < reported < 1e3


def test_a_loss_that_is_not_finite_stops_before_any_harm(learner):
    own = learner("training.device=cpu")  # a card tells one step later
    with torch.no_grad():
        next(own.model.parameters()).fill_(math.nan)
    average = {name: tensor.clone() for name, tensor in own.average.shadow.items()}
    with pytest.raises(TrainingError, match=r"step 5: the loss is nan .* learning rate 0.00"):
        own.step(4)

    assert same(average, own.average.shadow)


def test_what_each_weight_of_the_network_is(learner):
    own = learner("head.tied=false", "noise.type=learned", "backbone.time_conditioned=true")
    roles = {weight.name: (weight.role, weight.decays) for weight in weights_of(own.model)}

    assert roles.keys() == dict(own.model.named_parameters()).keys()
    assert {(role, decays) for role, decays in roles.values()} == {
        ("matrix", True),
        ("embedding", False),
        ("head", True),
        ("vector", False),
    }
    for name, (role, _) in roles.items():
        tensor = own.model.get_parameter(name)
        assert (role == "vector") == (tensor.ndim < 2), name
        assert (role == "matrix") == (tensor.ndim == 2 and name.startswith("backbone")), name


def test_a_tied_head_is_an_embedding(learner):
    roles = {weight.name: weight.role for weight in weights_of(learner().model)}

    assert {"embedding", "vector"} == {roles[name] for name in roles if name.startswith("head")}


def test_the_plugins_are_given_the_settings_of_training(learner):
    settings = ("steps=90", "warmup_steps=3", "learning_rate=0.25", "weight_decay=0.75")
    own = learner(*(f"training.{setting}" for setting in settings), "optimizer.beta2=0.5")

    assert [0.75, 0.0] == [group.weight_decay for group in own._stepper.groups]
    assert (0.9, 0.5) == own._stepper.betas
    schedule = own._config.lr_schedule
    for step in (1, 50):
        expected = schedule.rate(step, steps=90, peak=0.25, warmup=3)
        assert expected == own.step(step).learning_rate


class TestAverage:
    def test_follows_the_weights(self):
        module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(module.weight)
        average = Average(module, 0.9)
        nn.init.ones_(module.weight)
        for step in range(1000, 1003):
            average.update(step)

        assert average.shadow["weight"].item() == pytest.approx(1 - 0.9**3)

    def test_takes_in_more_at_the_beginning(self):
        """The decay after n steps is (1 + n) / (10 + n), until that is above the one wanted."""
        module = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(module.weight)
        average = Average(module, 0.25)
        nn.init.ones_(module.weight)
        left = 1.0
        for step, decay in enumerate((1 / 10, 2 / 11, 3 / 12, 0.25, 0.25)):
            average.update(step)
            left *= decay

            assert average.shadow["weight"].item() == pytest.approx(1 - left)

    def test_does_not_remember_the_beginning_of_a_short_run(self):
        module = nn.Linear(1, 1, bias=False)
        nn.init.constant_(module.weight, 1000)
        average = Average(module, 0.9999)
        nn.init.ones_(module.weight)
        for step in range(200):
            average.update(step)

        assert average.shadow["weight"].item() == pytest.approx(1, abs=0.01)

    def test_zero_decay_is_the_weights_themselves(self):
        module = nn.Linear(2, 2)
        average = Average(module, 0.0)
        nn.init.ones_(module.weight)
        average.update(0)

        assert average.shadow["weight"].equal(module.weight)

    def test_is_swapped_in_and_out_also_on_an_exception(self):
        """T24."""
        module = nn.Linear(2, 2)
        average = Average(module, 0.5)
        before = {name: p.detach().clone() for name, p in module.named_parameters()}
        nn.init.ones_(module.weight)
        with pytest.raises(ZeroDivisionError), average.swapped():  # noqa: PT012  # the raise is ours
            assert module.weight.equal(before["weight"])
            raise ZeroDivisionError

        assert module.weight.equal(torch.ones(2, 2))
        assert average.shadow["weight"].equal(before["weight"])


@pytest.mark.parametrize("name", ["gpu", "no-such", "cpu:x", "meta:3:4", "cuda:99"])
def test_a_device_that_is_not_there(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns when it looks for a driver in vain
        with pytest.raises(ConfigError, match=r"training.device: .* cannot be used here") as caught:
            choose(TrainingConfig(device=name))

    assert "maia" not in str(caught.value), "torch's list of devices that nobody has"


def test_precision():
    cpu = torch.device("cpu")
    x = torch.ones(2, 2)
    for precision, expected in {
        "auto": torch.float32,
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
    }.items():
        with autocast(TrainingConfig(precision=precision), cpu):
            assert (x @ x).dtype == expected


AGAIN = "training.gradient_checkpointing=true"


@pytest.mark.parametrize(
    "overrides",
    [(), ("mode=ar",), ("backbone.dropout=0.3",), ("diffusion.block_size=4",),
     ("training.accumulate=2", "backbone.time_conditioned=true")]  ,
)  # fmt: skip
def test_layers_that_are_computed_again_learn_the_same(learner, overrides):
    """Bit for bit on the CPU, also where dropout draws."""
    plain, again = (
        learner("backbone.layers=3", *overrides),
        learner("backbone.layers=3", AGAIN, *overrides),
    )
    for step in range(2):
        expected, got = plain.step(step), again.step(step)
        assert got.loss.equal(expected.loss)
        assert got.grad_norm.equal(expected.grad_norm)

    assert same(weights(plain), weights(again))
    assert plain.parts()["weights"].keys() == again.parts()["weights"].keys()
    assert plain.held_out_loss() == again.held_out_loss()


def test_layers_that_are_computed_again_keep_little_for_the_backward_pass(learner):
    def kept(*overrides):
        first, sizes = learner("backbone.layers=6", "diffusion.length=32", *overrides), []

        def keep(tensor):
            sizes.append(tensor.numel())
            return tensor

        ids = torch.zeros(8, 32, dtype=torch.int64)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            first.model.states(ids, torch.full((8,), 0.5).double())
        return sum(sizes)

    assert kept(AGAIN) < kept() / 20


def test_a_backbone_without_such_layers_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(Transformer, "recomputed", None)
    with pytest.raises(ConfigError, match="Transformer names no layers to compute again"):
        tiny(AGAIN)


@pytest.mark.parametrize("name", ["no_such", "time", ""])
def test_a_backbone_that_names_what_are_no_layers_is_named(learner, monkeypatch, name):
    monkeypatch.setattr(Transformer, "recomputed", name)
    with pytest.raises(PluginError, match=f"recomputed = '{name}'; expected the name of a Modul"):
        learner(AGAIN)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, about itself
@pytest.mark.parametrize("more", [(), (AGAIN,)])
def test_a_compiled_network_learns_the_same(learner, monkeypatch, more):
    """Traced and differentiated by torch.compile, but not compiled: that takes a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, fast = learner(), learner("training.compile=true", *more)
    for step in range(2):
        expected, got = plain.step(step), fast.step(step)
        assert got.loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)

    for name, expected in weights(plain).items():
        torch.testing.assert_close(weights(fast)[name], expected, rtol=1e-3, atol=1e-4)
    assert plain.parts()["weights"].keys() == fast.parts()["weights"].keys()


def test_the_network_alone_decides_the_threads(learner, monkeypatch):
    """One thread while CUDA does the work, those of before afterwards; the CPU keeps its own."""
    from aios_core.training.device import one_thread

    monkeypatch.setattr(torch, "set_num_threads", (counts := []).append)
    with one_thread(torch.device("cpu")):
        pass
    with one_thread(torch.device("cuda")):
        pass

    assert counts == [torch.get_num_threads(), 1, torch.get_num_threads()]
