"""One network for tokens and numbers: what it sees, what it learns, and bounds on every path."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from attrs import field, frozen

from aios_core.contracts import (
    Codec,
    Continuous,
    Corruption,
    Modality,
    NoiseScheduler,
    Objective,
    ProjectionHead,
    Shown,
    Vocabulary,
)
from aios_core.diffusion.joint import Joint
from aios_core.diffusion.joint_loss import Segments, joint_losses, mean_loss
from aios_core.diffusion.lockstep import Guidance, Lockstep, Target
from aios_core.diffusion.process import process_of
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.errors import InferenceError, PluginError
from aios_plugins.backbones.transformer import Transformer, angles, turns
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.corruptions.gaussian import Gaussian
from aios_plugins.heads.linear import Linear
from aios_plugins.heads.text import Text
from aios_plugins.noise.flow import Flow
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.objectives.nelbo import Nelbo
from aios_plugins.objectives.squared_error import SquaredError
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.ddim import DDIM
from aios_plugins.samplers.heun import Heun

WORDS = Vocabulary(size=6, mask_id=5, pad_id=5, bos_id=5, eos_id=5)


@frozen
class Fixed(Codec):
    """Arrays as they are."""

    of: object
    along: tuple[int, ...]

    @property
    def space(self):
        return self.of

    @property
    def grid(self):
        return self.along

    def encode(self, item):
        return np.asarray(item)

    def decode(self, state):
        return state

    def show(self, item):
        return Shown("text/plain", repr(item).encode())

    def save(self, folder):
        raise NotImplementedError

    @classmethod
    def load(cls, folder):
        raise NotImplementedError


@frozen
class Word(Modality):
    head: ProjectionHead = field(factory=Text)
    corruption: Corruption = field(factory=Absorbing)
    noise: NoiseScheduler = field(factory=LogLinear)
    objective: Objective = field(factory=Nelbo)
    weight: float = 1.0

    def example(self, number):
        return np.zeros(2, np.int32)

    def fit(self, items):
        return Fixed(WORDS, (2,))


@frozen
class Picture(Modality):
    head: ProjectionHead = field(factory=Linear)
    corruption: Corruption = field(factory=Gaussian)
    noise: NoiseScheduler = field(factory=Flow)
    objective: Objective = field(factory=SquaredError)
    weight: float = 1.0

    def example(self, number):
        return np.zeros((4, 3), np.float32)

    def fit(self, items):
        return Fixed(Continuous(3), (2, 2))


def build(dim=32, **values):
    torch.manual_seed(0)
    made = {"word": Word(), "picture": Picture()}
    backbone = Transformer(dim=dim, layers=2, heads=2, time_conditioned=True, **values)
    return Joint(backbone, {name: (each, each.fit([])) for name, each in made.items()})


def items(rows, generator):
    """A word of two tokens, and a picture that shows the first one's number in every place."""
    words = torch.randint(5, (rows, 2), generator=generator)
    words[:, 1] = (words[:, 0] + 1) % 5
    picture = (words[:, :1, None] - 2.0).expand(-1, 4, 3) / 1.4
    return words, picture + 0.1 * torch.randn(rows, 4, 3, generator=generator)


def test_axes_share_the_pairs_and_one_is_as_it_was():
    table = angles(64, 16)
    assert torch.equal(table[3:9], turns(table, slice(3, 9)))
    line = torch.arange(3, 9)[None, :, None]
    assert torch.equal(table[3:9], turns(table, line)[0])
    places = torch.tensor([[[7, 2, 5], [0, 2, 5]]])
    by_axes = turns(table, places)
    assert (1, 2, 2, 8) == tuple(by_axes.shape)
    for pair in range(8):
        assert torch.equal(table[places[0, :, pair % 3], :, pair], by_axes[0, :, :, pair])


def test_what_is_absent_changes_nothing():
    """Left out of the sequence, or marked as absent in some rows: the same numbers (M4)."""
    model = build().eval()
    generator = torch.Generator().manual_seed(1)
    words, picture = items(3, generator)
    t = torch.full((3,), 0.4, dtype=torch.float64)
    states, clock = {"word": words, "picture": picture}, {"word": t, "picture": t}
    with torch.no_grad():
        alone = model.states({"word": words}, {"word": t})["word"]
        present = {"word": torch.ones(3).bool(), "picture": torch.tensor([True, False, True])}
        both = model.states(states, clock, present)["word"]
        whole = model.states(states, clock)["word"]
    torch.testing.assert_close(both[1], alone[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both[0], whole[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(both[0], alone[0])


def test_another_modality_leaves_predictions_as_they_were():
    """M18: before training; and the trunk is most of the network."""
    both = build(dim=128)
    own = sum(p.numel() for p in both.backbone.parameters())
    assert own / sum(p.numel() for p in both.parameters()) > 0.97


def test_a_trunk_that_knows_no_times_is_refused():
    made = Picture()
    with pytest.raises(PluginError, match=r"time_conditioned, takes a time .* and knows 3 axes"):
        Joint(Transformer(dim=32, heads=2), {"picture": (made, made.fit([]))})


def trained(model, steps=300, rows=64):
    objectives = {"word": Nelbo(), "picture": SquaredError(weight="clean")}
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(2)
    model.train()
    for step in range(steps):
        words, picture = items(rows, generator)
        role = torch.rand(rows, generator=generator)
        targets = {"word": (role > 0.4)[:, None].expand(-1, 2), "picture": role < 0.6}
        targets["picture"] = targets["picture"][:, None].expand(-1, 4)
        batch = Segments(
            {"word": words, "picture": picture},
            targets,
            {"word": torch.ones(rows).bool(), "picture": torch.ones(rows).bool()},
        )
        times = {name: draw_times(rows, generator)[:, None] for name in targets}
        random = {
            "word": RowRandom.numbered(step, range(rows), 2).fork(1),
            "picture": RowRandom.numbered(step, range(rows), 4).fork(2),
        }
        losses = joint_losses(model, objectives, batch, times, random)
        loss = sum(mean_loss(model.part(name), each) for name, each in losses.items())
        optimiser.zero_grad()
        loss.backward()
        assert loss.isfinite()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return model


@pytest.fixture(scope="module")
def learned():
    return trained(build())


def test_it_learns_both_directions(learned):
    """A word from its picture, a picture from its word, and both that agree."""
    words, picture = items(64, torch.Generator().manual_seed(9))
    seeds = range(64)
    read = Lockstep(learned).sample(
        {"picture": picture}, {"word": Target(Ancestral(steps=4))}, seeds=seeds
    )
    assert (read.states["word"] == words).all(-1).double().mean() > 0.9
    drawn = Lockstep(learned).sample(
        {"word": words}, {"picture": Target(DDIM(steps=8))}, seeds=seeds
    )
    error = (drawn.states["picture"] - (words[:, :1, None] - 2) / 1.4).square().mean().sqrt()
    assert error < 0.35
    free = Lockstep(learned).sample(
        {}, {"word": Target(Ancestral(steps=16)), "picture": Target(Heun(steps=8))}, seeds=seeds
    )
    assert 16 == free.nfe, "calls are those of the longest run, never the sum"
    seen = (free.states["picture"].mean((1, 2)) * 1.4 + 2).round().long()
    assert (seen == free.states["word"][:, 0]).double().mean() > 0.7


@pytest.mark.parametrize("order", [None, [["word"], ["picture"]]])
def test_a_row_depends_on_its_seed_alone(learned, order):
    """M22: whatever the batch; and a first stage whatever comes after it."""
    targets = {"word": Target(Ancestral(steps=4)), "picture": Target(DDIM(steps=4))}
    among = Lockstep(learned).sample({}, targets, seeds=range(5), order=order).states
    alone = Lockstep(learned).sample({}, targets, seeds=[3], order=order).states
    assert torch.equal(alone["word"][0], among["word"][3])
    torch.testing.assert_close(alone["picture"][0], among["picture"][3], atol=1e-4, rtol=1e-4)
    if order is not None:
        only = Lockstep(learned).sample({}, {"word": targets["word"]}, seeds=range(5)).states
        assert torch.equal(only["word"], among["word"])


def test_parts_that_are_given_stay(learned):
    """M23: of a picture, and of a word."""
    words, picture = items(4, torch.Generator().manual_seed(3))
    fixed = torch.tensor([True, False, False, True]).expand(4, -1)
    target = Target(DDIM(steps=4), start=picture.double(), fixed=fixed)
    made = Lockstep(learned).sample({"word": words}, {"picture": target}, seeds=range(4))
    assert torch.equal(picture.double()[fixed], made.states["picture"][fixed])
    first = torch.tensor([True, False]).expand(4, -1)
    made = Lockstep(learned).sample(
        {}, {"word": Target(Ancestral(steps=4), start=words, fixed=first)}, seeds=range(4)
    )
    assert torch.equal(words[:, 0], made.states["word"][:, 0])


def test_guidance_asks_twice_and_one_is_none(learned):
    words, _ = items(4, torch.Generator().manual_seed(3))
    targets = {"picture": Target(DDIM(steps=4))}
    plain = Lockstep(learned).sample({"word": words}, targets, seeds=range(4)).states["picture"]

    def guided(scale, interval=(0.0, 1.0)):
        guidance = {"word": Guidance(scale, interval)}
        return (
            Lockstep(learned, guidance)
            .sample({"word": words}, targets, seeds=range(4))
            .states["picture"]
        )

    torch.testing.assert_close(plain, guided(1.0))
    torch.testing.assert_close(plain, guided(5.0, (0.9, 0.95)))
    assert not torch.allclose(plain, guided(2.0))


@pytest.mark.parametrize(
    ("given", "targets", "order", "message"),
    [
        ({}, {"sound": Target(DDIM())}, None, "no segment 'sound'; expected one of word, picture"),
        ({}, {"word": Target(Heun())}, None, "Heun does not serve .* a sampler of tokens"),
        ({}, {"word": Target(DDIM())}, [["word"], ["word"]], "expected each target once"),
        ({}, {"word": Target(DDIM())}, [["picture"]], "order has picture; expected each target"),
        ({"word": torch.zeros(3, 2).long()}, {"picture": Target(DDIM())}, None, "3 rows"),
        ({"word": torch.zeros(2, 2).long()}, {"word": Target(DDIM())}, None, "is given, and is to"),
    ],
)
def test_what_does_not_go_together_is_refused(learned, given, targets, order, message):
    with pytest.raises(InferenceError, match=message):
        Lockstep(learned).sample(given, targets, seeds=range(2), order=order)


def test_the_bound_is_the_same_on_every_path():
    """A word and a number, enumerated: text first, picture first, one clock, a crooked path.

    The bound is the integral of both parts along the path from pure noise to clean; what remains of
    the number at the path's end is counted by its density there.
    """
    prior = torch.tensor([0.5, 0.2, 0.3]).double()
    points = torch.tensor([-1.0, 0.3, 1.2]).double()
    spread = 0.4
    vocabulary = Vocabulary(size=4, mask_id=3, pad_id=3, bos_id=3, eos_id=3)
    token, number = process_of(Absorbing(), vocabulary), process_of(Gaussian(), Continuous(1))
    noise, rows = Flow(), 60_000
    generator = torch.Generator().manual_seed(4)
    word = torch.multinomial(prior, rows, replacement=True, generator=generator)
    x = points[word] + spread * torch.randn(rows, generator=generator, dtype=torch.float64)

    def posterior(z_word, z, level):
        """Of the word, and the mean of the number, given both noisy states."""
        a, rest = level.sqrt(), 1 - level
        seen = (
            -0.5 * (z[:, None] - a[:, None] * points).square() / (level * spread**2 + rest)[:, None]
        )
        log = prior.log() + seen
        known = torch.nn.functional.one_hot(z_word, 4)[:, :3].double()
        log = torch.where((z_word == 3)[:, None], log, known.log()).log_softmax(-1)
        gain = (a * spread**2 / (level * spread**2 + rest))[:, None]
        means = points + gain * (z[:, None] - a[:, None] * points)
        return log, (log.exp() * means).sum(-1)

    eps = 1e-3
    paths = {
        "one clock": lambda s: (s, s, 1.0, 1.0),
        "crooked": lambda s: (s**2, 1 - (1 - s) ** 3, 2 * s, 3 * (1 - s) ** 2),
        "word first": lambda s: (
            (2 * s - 1).clamp(min=0), (2 * s).clamp(max=1), 2.0 * (s > 0.5), 2.0 * (s <= 0.5),
        ),
        "number first": lambda s: (
            (2 * s).clamp(max=1), (2 * s - 1).clamp(min=0), 2.0 * (s <= 0.5), 2.0 * (s > 0.5),
        ),
    }  # fmt: skip
    bounds = {}
    for name, path in paths.items():
        s = (torch.randperm(rows, generator=generator) + 0.5).double() / rows
        t_word, t_number, du_word, du_number = path(s)
        t_number = eps + (1 - eps) * t_number
        levels = noise.alpha(t_word), noise.alpha(t_number)
        slopes = noise.alpha_prime(t_word) * du_word, noise.alpha_prime(t_number) * du_number
        random = RowRandom.numbered(5, range(rows), 1)
        z_word = token.corrupt(word[:, None], levels[0][:, None], random)
        z = number.corrupt(x[:, None, None], levels[1][:, None], random)
        log, mean = posterior(z_word[:, 0], z[:, 0, 0], levels[1])
        padded = torch.cat((log, torch.full((rows, 1), -torch.inf)), 1)[:, None]
        parts = token.integrand(z_word, word[:, None], padded, levels[0], slopes[0])[:, 0]
        parts = (
            parts.nan_to_num()
            + (1 - eps)
            * number.integrand(z, x[:, None, None], mean[:, None, None], levels[1], slopes[1])[:, 0]
        )
        bounds[name] = float(parts.mean()), float(parts.std()) / math.sqrt(rows)
    # What is left of the number at eps: its entropy given the state there, for a known word.
    level = noise.alpha(torch.tensor(eps).double())
    left = 0.5 * float((2 * math.pi * math.e / (1 / spread**2 + level / (1 - level))).log())
    joint = torch.distributions.Normal(points[word], spread).log_prob(x) + prior.log()[word]
    exact = -float(joint.mean())
    for name, (value, error) in bounds.items():
        assert abs(value + left - exact) < 4 * error + 2e-3, (name, value + left, exact, error)
