"""Learning a few tensors: what of the base is replayed, and how far a step may go."""

import pytest
import torch

from aios_core.contracts import Budget, Experience, Windows
from aios_core.errors import EvolutionError
from aios_core.evolution import fitting
from aios_core.training.adam import AdamW

TARGET, BASE = 65, 97


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
    for ids, valid in batches:
        assert (4 + again, 16) == tuple(ids.shape) == tuple(valid.shape)
        assert bool((ids[:4, 1:] == TARGET).all())
        assert bool((ids[4:, 1:] == BASE).all())
    first = torch.cat([ids[:4, 0] for ids, _ in batches])
    assert 6 == len(first[:6].unique()), "each row once before any comes twice"
    assert first.tolist() != sorted(first[:6].tolist()) * 2, "in an order that is drawn"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_no_gradient_is_longer_than_1(found, monkeypatch, scale):
    """Of all tensors together; a shorter one stays as it is, and rates warm up and decay."""
    seen, rates, loss = [], [], fitting._loss
    model = found.model.fork()
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

    monkeypatch.setattr(AdamW, "step", step)
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


def test_what_depends_on_nothing_is_told(found):
    with pytest.raises(EvolutionError, match="depends on none of the tensors"):
        fitting.fit(
            found.model.fork(),
            [torch.ones(2, requires_grad=True)],
            Experience(rows(TARGET), rows(BASE)),
            Budget(steps=1, batch_size=4),
            learning_rate=0.1,
        )
