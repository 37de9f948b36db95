"""Learning a few tensors: what of the base is replayed, and how far a step may go."""

import math

import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Budget, Experience, Vocabulary, Windows
from aios_core.diffusion.model import Model
from aios_core.errors import EvolutionError
from aios_core.testing.modules import stir
from aios_core.training import fitting
from aios_core.training.adam import AdamStepper

TARGET, BASE = 65, 97
VOCABULARY = Vocabulary(size=260, mask_id=256, pad_id=257, bos_id=258, eos_id=259)
VALUES = {"backbone": {"dim": 32, "layers": 1, "heads": 2}, "diffusion": {"length": 16}}


@pytest.fixture
def model():
    return stir(Model.build(resolve(VALUES).config, VOCABULARY))


def rows(token, count=6):
    ids = torch.full((count, 16), token)
    ids[:, 0] += torch.arange(count)
    return Windows(ids, torch.ones_like(ids, dtype=torch.bool))


@pytest.mark.parametrize(("replay", "again"), [(0.0, 0), (0.5, 2), (2.0, 8)])
def test_rows_behind_those_of_the_target_are_of_the_base(replay, again):
    """Else a replay would replay nothing, and what was known would be forgotten."""
    experience = Experience(rows(TARGET), rows(BASE))
    generator = torch.Generator().manual_seed(0)
    batches = list(fitting._batches(experience, Budget(steps=3, batch_size=4), replay, generator))

    assert 3 == len(batches)
    for batch in batches:
        assert (4 + again, 16) == tuple(batch.ids.shape) == tuple(batch.targets.shape)
        assert bool((batch.ids[:4, 1:] == TARGET).all())
        assert bool((batch.ids[4:, 1:] == BASE).all())
    first = torch.cat([batch.ids[:4, 0] for batch in batches])
    assert 6 == len(first[:6].unique()), "each row once before any comes twice"
    assert first.tolist() != sorted(first[:6].tolist()) * 2, "in an order that is drawn"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_no_gradient_is_longer_than_1(model, monkeypatch, scale):
    """Of all tensors together; a shorter one stays as it is, and rates warm up and decay."""
    seen, rates, loss = [], [], fitting._loss
    model = model.fork()
    tensors = [p.detach().clone().requires_grad_() for p in (model.head.norm.weight,)]
    model.head.norm.weight = torch.nn.Parameter(tensors[0])
    leaf = model.head.norm.weight

    def step(self, rate):
        seen.append(float(leaf.grad.norm()))
        rates.append(rate)

    asked = []

    def scaled(*words):
        value = scale * loss(*words)
        asked.append(float(torch.autograd.grad(value, leaf, retain_graph=True)[0].norm()))
        return value

    monkeypatch.setattr(AdamStepper, "step", step)
    monkeypatch.setattr(fitting, "_loss", scaled)
    fitting.fit(
        model,
        [leaf],
        Experience(rows(TARGET), rows(BASE)),
        Budget(steps=20, batch_size=4),
        learning_rate=0.1,
    )

    assert pytest.approx([min(1.0, norm) for norm in asked], rel=1e-4) == seen
    assert pytest.approx([0.05, 0.095]) == rates[:2]
    assert pytest.approx([0.01, 0.005]) == rates[-2:]
    assert max(asked) > 1 or scale < 1e3
    assert min(asked) < 1 or scale > 1e-3
    assert leaf.grad is None
    assert not model.training


def test_what_depends_on_nothing_is_told(model):
    with pytest.raises(EvolutionError, match="depends on none of the tensors"):
        fitting.fit(
            model.fork(),
            [torch.ones(2, requires_grad=True)],
            Experience(rows(TARGET), rows(BASE)),
            Budget(steps=1, batch_size=4),
            learning_rate=0.1,
        )


def test_what_has_no_base_replays_its_target(monkeypatch):
    nothing = Windows(torch.empty(0, 16, dtype=torch.long), torch.empty(0, 16, dtype=torch.bool))
    asked, target = [], rows(TARGET)
    monkeypatch.setattr(fitting, "_rows", lambda *words: asked.append(words[:2]) or iter([target]))
    for base, other in ((nothing, target), (rows(BASE), None)):
        experience = Experience(target, base)
        for _ in fitting._batches(experience, Budget(steps=0, batch_size=4), 0.5, None):
            pass

        assert [(target, 4), (other or base, 2)] == asked[-2:]


def learned(model, leaf, *, seed=0, steps=4, **words):
    fitting.fit(
        model,
        [leaf],
        Experience(rows(TARGET), rows(BASE), seed),
        Budget(steps=steps, batch_size=2),
        learning_rate=0.1,
        **words,
    )
    return float(leaf.detach())


def test_steps_are_adam_s_and_nothing_decays(model, monkeypatch):
    """Betas of 0.9 and 0.98, worked out for one number; the penalty is a part of the loss."""
    leaf, slopes = torch.tensor(0.5, requires_grad=True), [0.3, -0.6, 0.2, 0.4]
    given = iter(slopes)
    monkeypatch.setattr(fitting, "_loss", lambda *_: next(given) * leaf)
    value, mean, square = 0.5, 0.0, 0.0
    for step, slope in enumerate(slopes):
        gradient = slope + 0.1
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.98 * square + 0.02 * gradient**2
        size = math.sqrt(square / (1 - 0.98 ** (step + 1)))
        value -= 0.1 * (1 - step / 4) * mean / (1 - 0.9 ** (step + 1)) / size

    fitted = learned(model.fork(), leaf, pull=lambda: 0.1 * leaf)
    assert pytest.approx(value, rel=1e-5) == fitted


def test_a_seed_draws_dropout_and_no_draw_of_others_is_touched(model, monkeypatch):
    def fitted(seed):
        leaf = torch.tensor(0.5, requires_grad=True)
        monkeypatch.setattr(fitting, "_loss", lambda *_: (torch.rand(()) - 0.5) * leaf)
        return learned(model.fork(), leaf, seed=seed)

    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first = fitted(0)

    assert torch.equal(expected, torch.rand(3))
    assert fitted(0) == first != fitted(1)


@pytest.mark.parametrize(("loss", "slope"), [(math.inf, 0.0), (math.nan, 0.0), (1.0, math.inf)])
def test_a_step_that_is_not_finite_is_refused(model, monkeypatch, loss, slope):
    """Before it is taken: of the loss, and of the gradient alone."""
    leaf, steps = torch.tensor(0.5, requires_grad=True), iter([(1.0, 0.0), (loss, slope)])

    class Bent(torch.autograd.Function):
        @staticmethod
        def forward(_, leaf, value, slope):
            Bent.slope = slope
            return leaf * 0 + value

        @staticmethod
        def backward(_, gradient):
            return gradient * 0 + Bent.slope, None, None

    monkeypatch.setattr(fitting, "_loss", lambda *_: Bent.apply(leaf, *next(steps)))
    with pytest.raises(EvolutionError, match=r"step 2: .* expected a smaller learning_rate"):
        learned(model.fork(), leaf)
    assert 0.5 == float(leaf.detach())


@pytest.mark.parametrize(("count", "batch"), [(3, 3), (40, 16)])
def test_gradients_are_of_sixteen_rows_a_batch(model, monkeypatch, count, batch):
    """Or of all that there are; zero for what the loss does not depend on."""
    leaf, other, seen = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True), []

    def loss(_, batch, __):
        seen.append(batch.ids[:, 0].tolist())
        return 2 * leaf.sum()

    monkeypatch.setattr(fitting, "_loss", loss)
    each = fitting.gradients_of(model, rows(0, count), [leaf, other], batches=2, seed=0)

    assert [[[2.0, 2.0], [0.0, 0.0, 0.0]]] * 2 == [[each.tolist() for each in two] for two in each]
    assert [batch, batch] == [len(set(each)) for each in seen]


@pytest.mark.parametrize(("block_size", "blocks"), [(None, 1), (4, 4)])
def test_every_block_of_a_row_has_a_time_of_its_own(monkeypatch, block_size, blocks):
    values = VALUES | {"diffusion": {"length": 16, "block_size": block_size}}
    values = {**values, "diffusion": {k: v for k, v in values["diffusion"].items() if v}}
    model, seen = Model.build(resolve(values).config, VOCABULARY), []
    monkeypatch.setattr(fitting, "training_loss", lambda *words: seen.append(words[2]))
    fitting._loss(model, rows(TARGET), torch.Generator().manual_seed(0))

    assert (6, blocks) == tuple(seen[0].shape)
    assert 6 * blocks == len(seen[0].unique())
