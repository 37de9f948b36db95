"""What the levels promise beside their contract."""

import math
import shutil
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from aios_core.config import resolve
from aios_core.contracts import Adaptation, Budget, Experience, Vocabulary, Windows
from aios_core.diffusion.guidance import ClassifierFree
from aios_core.diffusion.model import Model
from aios_core.errors import EvolutionError
from aios_core.testing.modules import stir
from aios_core.training.fitting import score
from aios_plugins.conditioners._recall import Memories
from aios_plugins.evolution.probe import PROMISE, with_data
from aios_plugins.levels import control, mixing, unfreeze
from aios_plugins.levels.control import Control
from aios_plugins.levels.mixing import Mixing, _Cached, _fitted, _predictions, pooled
from aios_plugins.levels.unfreeze import PROBES, Full, Random, Unfreeze

VOCABULARY = Vocabulary(size=260, mask_id=256, pad_id=257, bos_id=258, eos_id=259)
SMALL = Budget(share=0.1, steps=3, batch_size=4)


SIZES = {"backbone": {"dim": 32, "layers": 2, "heads": 2}, "diffusion": {"length": 16}}


@pytest.fixture(scope="module")
def model():
    return Model.build(resolve(SIZES).config, VOCABULARY).eval()


def windows(text):
    ids = torch.tensor(list(text.encode())).view(-1, 16)
    return Windows(ids, torch.ones_like(ids, dtype=torch.bool))


@pytest.fixture(scope="module")
def experience():
    return Experience(windows("a bottle of milk" * 8), windows("no more of it all" * 16))


def test_a_side_network_that_has_not_learned_changes_no_bit(model, experience):
    adaptation = Control().adapt(model, experience, Budget(share=0.1, steps=0))
    x, t = experience.target.ids, torch.rand(8).double()

    assert torch.equal(model(x, t), Control().apply(model, adaptation)(x, t))
    assert 0 < adaptation.parameters < 0.1 * sum(p.numel() for p in model.parameters())


def test_a_backbone_of_a_single_block_is_steered(experience):
    """Its list of blocks is shorter than a list that the block itself holds."""
    values = {**SIZES, "backbone": {"dim": 32, "layers": 1, "heads": 2}}
    model = Model.build(resolve(values).config, VOCABULARY).eval()
    learned = Control(learning_rate=0.05).adapt(model, experience, SMALL)
    x, t = experience.target.ids, torch.rand(8).double()

    assert {"enter", "0.tap", "0.up", "0.down", "0.zero"} == learned.tensors.keys()
    assert not torch.equal(model(x, t), Control().apply(model, learned)(x, t))


def test_scale_zero_and_times_outside_are_the_model_itself(model, experience):
    adaptation = Control(control_guidance_start=0.25, control_guidance_end=0.75).adapt(
        model, experience, SMALL
    )
    adapted = Control().apply(model, adaptation)
    x, t = experience.target.ids[:3], torch.tensor([1.0, 0.5, 0.1]).double()
    same = (model(x, t) == adapted(x, t)).flatten(1).all(1)
    adaptation.config["conditioning_scale"] = 0.0

    assert [True, False, True] == same.tolist()
    assert torch.equal(model(x, t), Control().apply(model, adaptation)(x, t))


def test_a_bank_is_weighed_one_by_one(model, experience):
    """A second side network of weight zero leaves the answers of the first alone."""
    first, second = (
        Control(learning_rate=0.05).adapt(
            model, Experience(experience.target, experience.base, seed), SMALL
        )
        for seed in (0, 1)
    )
    x, t = experience.target.ids, torch.rand(8).double()

    def answer(*scales):
        adapted = model
        for scale, adaptation in zip(scales, (first, second), strict=True):
            config = adaptation.config | {"conditioning_scale": scale}
            adapted = Control().apply(adapted, attrs.evolve(adaptation, config=config))
        return adapted(x, t)

    assert torch.equal(answer(1.0, 0.0), Control().apply(model, first)(x, t))
    assert torch.equal(answer(0.0, 1.0), Control().apply(model, second)(x, t))
    assert not torch.allclose(answer(1.0, 1.0), answer(1.0, 0.0), atol=1e-3)


def test_unfreezing_keeps_to_what_it_chose(model, experience):
    for level in (Unfreeze(), Random()):
        adaptation = level.adapt(model, experience, SMALL)
        adapted = dict(level.apply(model, adaptation).named_parameters())
        changed = {n for n, p in model.named_parameters() if not torch.equal(p, adapted[n])}

        assert changed <= set(adaptation.config["tensors"]) == set(adaptation.tensors)
        assert adaptation.parameters <= 0.1 * sum(p.numel() for p in model.parameters())


def test_unfreezing_takes_the_most_promising_that_fit(model, experience):
    """Fault T5: what is left out would not have fitted beside what promises more."""
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    most = 0.1 * sum(sizes.values())
    rows = list(with_data(model, experience.target, batches=PROBES, seed=experience.seed))
    promise = {row.tensor: row.value for row in rows if row.metric == PROMISE}
    chosen = Unfreeze().choose(model, experience, most)

    assert sorted(chosen, key=lambda name: -promise[name]) == chosen
    for name in sizes.keys() - set(chosen):
        better = sum(sizes[each] for each in chosen if promise[each] >= promise[name])
        assert better + sizes[name] > most
    least = min(sizes.values())
    assert [least] == [sizes[each] for each in Random().choose(model, experience, 1.0 * least)]
    draws = {
        tuple(Random().choose(model, attrs.evolve(experience, seed=seed), most))
        for seed in range(4)
    }
    assert len(draws) > 1


def test_a_pull_is_half_the_squared_distance(model, experience, monkeypatch):
    asked = []

    def fit(fork, tensors, *_, learning_rate, replay, pull):
        assert [0.0] == [float(pull().detach())]
        with torch.no_grad():
            for tensor in tensors:
                tensor.add_(2)
        asked.append(
            (
                float(pull().detach()),
                sum(tensor.numel() for tensor in tensors),
                learning_rate,
                replay,
            )
        )

    monkeypatch.setattr(unfreeze, "fit", fit)
    level = Unfreeze(pull=0.5, replay=0.75, learning_rate=0.125)
    learned = level.adapt(model, experience, SMALL)
    ((penalty, count, rate, replay),) = asked

    assert learned.parameters == count
    assert (pytest.approx(0.5 / 2 * 4 * count, rel=1e-5), 0.125, 0.75) == (penalty, rate, replay)


def test_a_side_network_is_as_wide_as_it_may_be(model, experience):
    """By the budget, one more would be too many; or by its share of the model's width."""
    total = model.num_parameters()
    wide = Control(size_ratio=1.0).adapt(model, experience, Budget(share=0.1, steps=0))
    width, dim = wide.tensors["enter"].shape
    more = 5 * dim * (width + 1) + 8 * (width + 1) ** 2

    assert wide.parameters <= 0.1 * total < more
    half = Control(size_ratio=0.125).adapt(model, experience, Budget(share=1.0, steps=0))
    assert (4, 32) == tuple(half.tensors["enter"].shape)
    spread = Control(size_ratio=1.0).adapt(model, experience, Budget(share=1.0, steps=0))
    assert pytest.approx(32**-0.5, rel=0.1) == float(spread.tensors["0.tap"].std())
    assert pytest.approx(64**-0.5, rel=0.1) == float(spread.tensors["0.down"].std())
    with pytest.raises(EvolutionError, match="a side network of width 1"):
        Control().adapt(model, experience, Budget(share=1e-4, steps=0))


def test_a_side_network_is_beside_the_longest_list_of_modules():
    lists = [nn.ModuleList(nn.Identity() for _ in range(n)) for n in (1, 3, 2)]
    backbone = nn.Sequential(*lists)

    assert lists[1] is control._blocks(SimpleNamespace(backbone=backbone))
    with pytest.raises(EvolutionError, match="no list of blocks"):
        control._blocks(SimpleNamespace(backbone=nn.Linear(2, 2)))


@pytest.mark.parametrize("change", [{"more": 1.0}, {"conditioning_scale": "1"}, None])
def test_a_side_network_is_set_up_by_three_numbers_and_nothing_else(model, experience, change):
    made = Control().adapt(model, experience, Budget(share=0.1, steps=0))
    config = {**made.config, **(change or {})}
    if change is None:
        del config["control_guidance_end"]

    with pytest.raises(EvolutionError, match="expected numbers for"):
        Control().apply(model, attrs.evolve(made, config=config))


def test_what_is_no_mixture_is_refused_and_predictions_are_left_as_they_are(model):
    for config in ({"pool": "mean", "experts": []}, {"pool": "log"}, {"experts": []}):
        with pytest.raises(EvolutionError, match="expected a pool, 'linear' or 'log'"):
            Mixing().apply(model, Adaptation(config, {"weights": torch.ones(1)}, 1))
    for weights in ({}, {"weights": torch.ones(1), "more": torch.ones(1)}):
        right = {"pool": "log", "experts": []}
        with pytest.raises(EvolutionError, match="expected its weights, and no other tensor"):
            Mixing().apply(model, Adaptation(right, weights, 1))
    logits = torch.zeros(2, 4)
    said = mixing.log_probs(logits, 1)

    assert torch.equal(torch.zeros(2, 4), logits)
    assert pytest.approx([1 / 3, 0, 1 / 3, 1 / 3]) == said[0].exp().tolist()
    half = mixing.log_probs(torch.zeros(4).bfloat16(), 1)
    assert torch.float32 == half.dtype


def test_a_side_network_steers_at_both_ends_of_its_share(model, experience):
    """The share of the schedule that is done is 1 - t; both bounds belong to it."""
    learned = Control(
        control_guidance_start=0.125, control_guidance_end=0.25, learning_rate=0.05
    ).adapt(model, experience, SMALL)
    x, t = experience.target.ids[:4], torch.tensor([0.9375, 0.875, 0.75, 0.6875]).double()
    same = (model(x, t) == Control().apply(model, learned)(x, t)).flatten(1).all(1)

    assert [True, False, False, True] == same.tolist()


def test_weights_are_fitted_to_the_target_and_a_share_of_the_base(model, experience, monkeypatch):
    """With no expert the only weight is 1; a share of 0 leaves the base out."""
    asked = []

    def fitted(cached, count, pool):
        asked.append(([share for _, share in cached], count, pool))
        tokens = [sorted({chr(token) for token in part.tokens}) for part, _ in cached]
        assert (
            tokens
            == [sorted(set("a bottle of milk")), sorted(set("no more of it all"))][: len(cached)]
        )
        return torch.ones(count)

    monkeypatch.setattr(mixing, "_fitted", fitted)
    made = Mixing(replay=0.5, pool="linear").adapt(model, experience, SMALL)
    Mixing(replay=0.0).adapt(model, experience, SMALL)

    assert [([1.0, 0.5], 1, "linear"), ([1.0], 1, "log")] == asked
    assert ([], "linear", 1) == (made.config["experts"], made.config["pool"], made.parameters)


def test_cached_predictions_stand_for_the_bound(model, experience):
    """Masked tokens weighed by the schedule; what a token counts is its share of the loss."""
    many = windows("no more of it all" * 16 * 8)
    cached = _predictions([model], many, seed=0)

    torch.testing.assert_close(cached.parts.exp().sum(-1), torch.ones(len(cached.tokens), 1))
    assert 1 == pytest.approx(float(cached.counts.sum()) / many.ids.numel(), abs=0.25)
    parts = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()[:, None]
    some = _Cached(parts, torch.tensor([0, 0]), torch.tensor([1.0, 3.0]))
    nats = (math.log(2) + 3 * math.log(4)) / 4
    for pool in ("linear", "log"):
        assert pytest.approx(nats) == float(some.loss(torch.ones(1), pool))


def test_tied_tensors_stay_tied(model, experience):
    adaptation = Full().adapt(model, experience, Budget(share=1.0, steps=1))
    head = Full().apply(model, adaptation).head

    assert head.linear.weight is head.embedding.weight
    with pytest.raises(EvolutionError, match="the budget is"):
        Full().adapt(model, experience, SMALL)


def test_pools_are_distributions():
    parts = torch.randn(5, 3, 7).log_softmax(-1)
    for pool in ("linear", "log"):
        for weights in (torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.0, 1.0, 0.0])):
            mixed = pooled(parts, weights, pool)
            torch.testing.assert_close(mixed.exp().sum(-1), torch.ones(5))
    torch.testing.assert_close(parts[:, 1], mixed, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pool", ["linear", "log"])
def test_a_mixture_is_no_worse_than_either(model, tmp_path, tiny_run, pool):
    """On what it was fitted on; and an expert that was changed is refused."""
    shutil.copytree(tiny_run, tmp_path / "expert")
    target = windows("a bottle of milk" * 64)
    experience = Experience(target, windows("no more of it all" * 16))
    level = Mixing(experts=(tmp_path / "expert",), pool=pool, replay=0.0)
    adaptation = level.adapt(model, experience, SMALL)
    mixed = Mixing().apply(model, adaptation)
    before, after = (score(m, target, draws=4, seed=0).mean() for m in (model, mixed))

    assert 1.0 == pytest.approx(float(adaptation.tensors["weights"].sum()))
    assert after < before - 1
    assert torch.equal(mixed.head.heads[0].linear.weight, model.head.linear.weight)
    # Of a base that hears memories the mixture hears them too, though the expert has no such part.
    memory = {"memory": {"k": 2, "dim": 4, "store": "-"}}
    hearing = stir(Model.build(resolve({**SIZES, **memory}).config, VOCABULARY)).eval()
    mixed = level.apply(hearing, level.adapt(hearing, experience, SMALL))
    mixed.head.weights.fill_(0.5)
    x, t = torch.full((1, 16), 256), torch.ones(1).double()
    vectors, scores = np.ones((1, 2, 4), np.float32), np.ones((1, 2), np.float32)
    conditioned = mixed.conditioned(Memories(vectors, scores, scores > 0, ((),)))
    assert not torch.allclose(mixed(x, t), conditioned(x, t), atol=1e-3)
    for each in (mixed.denoiser(), conditioned.denoiser()):
        torch.testing.assert_close(each(x, t)[:, 3:9], each.part(x, t, 3, 9))
    adaptation.config["experts"][0]["sha256"] = "0" * 64
    with pytest.raises(EvolutionError, match="is not the one that was mixed"):
        Mixing().apply(model, adaptation)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_guidance_is_a_log_pool(gamma):
    """Of the prediction with a condition and the one without, by gamma and 1 - gamma."""
    conditional, alone = torch.randn(2, 1, 6, 20).log_softmax(-1)
    for parts in (conditional, alone):
        parts[..., 16] = -1e4
    x, t = torch.full((1, 6), 16), torch.ones(1)
    guided = ClassifierFree(Constant(conditional), Constant(alone), gamma, 16)(x, t)
    mixed = pooled(torch.stack((conditional, alone), -2), torch.tensor([gamma, 1 - gamma]), "log")
    keep = [token for token in range(20) if token != 16]

    torch.testing.assert_close(guided[..., keep], mixed[..., keep])


class Constant:
    """A denoiser that always says the same."""

    time_conditioned = False

    def __init__(self, said):
        self.said = said

    def __call__(self, x, t):
        return self.said


def test_an_expert_that_is_not_there_is_told(model, experience, tmp_path):
    with pytest.raises(EvolutionError, match="nowhere"):
        Mixing(experts=(tmp_path / "nowhere",)).adapt(model, experience, SMALL)
    entry = [{"path": "x"}]
    strange = Adaptation({"pool": "log", "experts": entry}, {"weights": torch.ones(2)}, 2)
    with pytest.raises(EvolutionError, match="expected a path and a sha256"):
        Mixing().apply(model, strange)


@pytest.mark.parametrize("pool", ["linear", "log"])
@pytest.mark.parametrize("replay", [0.01, 0.25, 1.0, 4.0, 30.0])
def test_the_base_domain_counts_as_much_as_replay_says(pool, replay):
    """The weights are the best of a grid, for one model that knows the target, one the base."""
    log_probs = torch.tensor([[0.6, 0.1, 0.3], [0.1, 0.7, 0.2]]).log()

    def nats(first):
        mixed = pooled(log_probs, torch.stack([first, 1 - first]), pool)
        return float(-mixed[0] - replay * mixed[1])

    parts = [(_Cached(log_probs[None], torch.tensor([token]), torch.ones(1)), share)
             for token, share in ((0, 1.0), (1, replay))]  # fmt: skip
    weights = _fitted(parts, 2, pool)
    best = min(nats(first) for first in torch.linspace(0, 1, 1001))

    assert 1.0 == pytest.approx(float(weights.sum()))
    assert nats(weights[0]) < best + 1e-2 * (1 + replay)
