"""Every draw of a step follows from (seed, step, row): none from how rows are split, or from when.

Of rows of several segments, many of which share a sequence, where layouts are so small that a run
goes through several.
"""

from __future__ import annotations

import pytest
import torch

from aios_core.training import layout
from aios_core.training.checkpoint import PARTS
from aios_core.training.data import prepare
from aios_core.training.learner import Learner
from aios_core.training.tokens import Layouts
from aios_core.training.trainer import train
from aios_plugins.backbones.transformer import Transformer

ROWS = (
    "dataset={type='countdown', numbers=2, problems=60, held_out=20}",
    "diffusion.length=32",
    "training.learning_rate=1e-3",
)
WHOLE, PARTS_OF_4 = ("training.batch_size=16",), ("training.batch_size=4", "training.accumulate=4")
TRAININGS = {
    "masks": (),
    "twin": ("mode=ar",),
    "blocks": ("diffusion.block_size=4",),
    "counts": ("objective.type=exact-count",),
    "steps": ("objective.type=d3pm",),
    "uniform": ("corruption.type=uniform",),
    "learned noise": ("noise.type=learned",),
    "rows alone": (),
    "a stream": ("dataset.type=file", "diffusion.packing=stream"),
}


@pytest.fixture(autouse=True)
def _small_layouts(monkeypatch):
    monkeypatch.setattr(layout, "_AT_LEAST", 20)


@pytest.fixture(params=TRAININGS)
def resolved(request, tiny, monkeypatch):
    """A function of more settings: one of these trainings."""
    name = request.param
    if name == "rows alone":
        monkeypatch.setattr(Transformer, "serves_masks", False)
    rows = ROWS[1:] if name == "a stream" else ROWS
    return lambda *more: tiny(*rows, *TRAININGS[name], *more)


def _watched(learner):
    """What its network is asked, and at which times."""
    seen, states = [], learner.model.states
    learner.model.states = lambda x, t, condition: (
        seen.append((x, torch.zeros(len(x)) if t is None else t)) or states(x, t, condition)
    )
    return seen


def test_a_step_of_1_x_16_is_one_of_4_x_4(resolved):
    """To rounding; and what is asked of the network is the same to the bit."""
    learners, asked, steps = [], [], []
    for split, calls in ((WHOLE, 2), (PARTS_OF_4, 8)):
        setting = resolved(*split)
        learner = Learner(setting.config, prepare(setting))
        seen = _watched(learner)
        steps.append([learner.step(step) for step in range(2)])
        learners.append(learner)
        asked.append([torch.cat(part) for part in zip(*seen, strict=True)])
        assert calls == len(seen)
    for whole, parts in zip(*asked, strict=True):
        assert torch.equal(whole, parts)
    for whole, parts in zip(*steps, strict=True):
        assert parts.loss.item() == pytest.approx(whole.loss.item(), rel=1e-5)
        assert parts.grad_norm.item() == pytest.approx(whole.grad_norm.item(), rel=1e-4)
    for whole, parts in zip(*(learner.model.parameters() for learner in learners), strict=True):
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


def test_going_on_from_a_step_ends_the_same(resolved, tmp_path):
    """Bit for bit, though a run that goes on has made no layout yet."""
    setting = resolved(*WHOLE, "training.checkpoint_every=3", "backbone.dropout=0.1")
    whole = train(setting, tmp_path / "whole", progress=False)
    middle = train(setting, tmp_path / "again", progress=False).with_name("step-000003")
    (middle.parent / "latest").write_text(middle.name)
    again = train(setting, tmp_path / "again", progress=False)

    for part in PARTS:
        expected, got = (folder / f"{part}.safetensors" for folder in (whole, again))
        assert expected.read_bytes() == got.read_bytes(), part


def test_a_run_goes_through_several_layouts(tiny, monkeypatch):
    """Or what is above would show less than it says."""
    numbers, made = set(), Layouts._layout
    monkeypatch.setattr(
        Layouts, "_layout", lambda self, number: numbers.add(number) or made(self, number)
    )
    setting = tiny(*ROWS, *WHOLE)
    tokens = prepare(setting).train
    batches = [tokens.batch(step, 0, 16) for step in range(6)]

    assert len(numbers) >= 2
    assert all(batch.rows is not None for batch in batches)
    assert all((batch.valid & ~batch.targets).sum() > 2 * 16 for batch in batches), "prompts"
