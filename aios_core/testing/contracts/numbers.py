"""What corruptions, samplers and heads of numbers must do, as those of tokens must otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from aios_core.contracts import Continuous, SamplingContext, TrainingContext
from aios_core.contracts.denoising import states
from aios_core.diffusion.objective import Answer
from aios_core.diffusion.process import process_of
from aios_core.diffusion.random import RowRandom
from aios_core.testing.contracts.base import Contract, expect
from aios_core.testing.modules import assert_learns, same_parameters, seeded, stir
from aios_core.testing.normal import Normal, NormalOracle, Straight

if TYPE_CHECKING:
    from aios_core.contracts import Corruption, Objective, ProjectionHead, Sampler, TokenProcess

SPACE = Continuous(channels=3)
DIM, ROWS, LENGTH = 16, 2000, 2


class NumberCorruptionContract(Contract["Corruption"]):
    """Subclass it and set ``component``: the class of a corruption of numbers, or one built."""

    @classmethod
    def try_out(cls, plugin: Corruption) -> None:
        """It has a process on numbers."""
        process_of(plugin, SPACE)

    def test_corrupts_by_its_level(self, instance: Corruption) -> None:
        """The mean falls to sqrt(alpha) x; nothing changes at 1, and nothing is left at 0."""
        process, x0 = process_of(instance, SPACE), torch.full((ROWS, LENGTH, 3), 2.0)
        for level in (1.0, 0.6, 0.0):
            alpha = torch.full((ROWS, 1), level, dtype=torch.float64)
            z = process.corrupt(x0, alpha, RowRandom.numbered(0, range(ROWS), LENGTH))
            assert (x0.shape, x0.dtype) == (z.shape, z.dtype)
            assert abs(float(z.mean()) - 2 * math.sqrt(level)) < 0.1
            if level == 1:
                assert torch.equal(x0, z), "what is not noised is changed"

    def test_corruption_is_seeded(self, instance: Corruption) -> None:
        """The streams that are passed are the only source of noise, row by row."""
        process, x0 = process_of(instance, SPACE), torch.zeros(8, LENGTH, 3)
        half = torch.full((8, 1), 0.5, dtype=torch.float64)
        first, again, other = (
            process.corrupt(x0, half, RowRandom.numbered(seed, range(8), LENGTH))
            for seed in (0, 0, 1)
        )
        assert torch.equal(first, again)
        assert not (first == other).any()
        part = process.corrupt(x0[2:5], half[2:5], RowRandom.numbered(0, range(2, 5), LENGTH))
        assert torch.equal(first[2:5], part), "a row's noise depends on its batch mates"

    def test_steps_back_follow_the_marginals(self, instance: Corruption) -> None:
        """A state that went to t and back to s is distributed as one that went to s."""
        process, x0 = process_of(instance, SPACE), torch.ones(ROWS, LENGTH, 3).double()
        random = RowRandom.numbered(0, range(ROWS), LENGTH)
        now, then = (torch.full((ROWS, 1), level).double() for level in (0.2, 0.7))
        z = process.corrupt(x0, now, random)
        back = process.between(z, x0, now[:, 0], then[:, 0], _draws(random.fork(1)))
        direct = process.corrupt(x0, then, random.fork(2))
        assert abs(float(back.mean() - direct.mean())) < 0.05
        assert abs(float(back.std() - direct.std())) < 0.05
        whole = process.between(z, x0, now[:, 0], torch.ones(ROWS).double(), _draws(random))
        assert_close(whole, x0, msg="the last step does not end at what is clean")

    def test_integrand_is_zero_of_the_truth(self, instance: Corruption) -> None:
        """And above it for everything else, in float64, position by position."""
        process, x0 = process_of(instance, SPACE), torch.randn(4, LENGTH, 3, generator=_seeded())
        alpha, slope = torch.linspace(0.1, 0.9, 4).double(), torch.full((4,), -1.0).double()
        z = process.corrupt(x0, alpha[:, None], RowRandom.numbered(0, range(4), LENGTH))
        right = process.integrand(z, x0, x0, alpha, slope)
        assert ((4, LENGTH), torch.float64) == (tuple(right.shape), right.dtype)
        assert not right.any()
        assert (process.integrand(z, x0, x0 + 0.1, alpha, slope) > 0).all()


class NumberSamplerContract(Contract["Sampler"]):
    """Subclass it and set ``component``: the class of a sampler of numbers, or one built."""

    @classmethod
    def try_out(cls, plugin: Sampler) -> None:
        """Its states are numbers of the shape of the first."""
        x, seen = _run(plugin, rows=3)
        for state in seen:
            assert state.is_floating_point(), f"a step gives {state.dtype}; expected numbers"
            assert x.shape == state.shape

    def test_follows_a_normal_distribution(self, instance: Sampler) -> None:
        """The means are right, and with many steps the deviations are."""
        _, seen = _run(with_steps(instance, 64), rows=ROWS)
        last = seen[-1]
        assert abs(float(last.mean()) - NormalOracle.mean) < 0.05
        if instance.exact in {"always", "in the limit"}:
            assert abs(float(last.std()) / NormalOracle.deviation - 1) < 0.1

    def test_numbers_that_are_given_stay(self, instance: Sampler) -> None:
        """M23: to the bit, in every state."""
        fixed = torch.tensor([[True, False], [False, True], [True, True]])
        x, seen = _run(instance, rows=3, fixed=fixed)
        for state in seen:
            assert torch.equal(x[fixed], state[fixed]), "a fixed number was changed"
        assert not (x[~fixed] == seen[-1][~fixed]).any()

    def test_rows_of_numbers_are_independent(self, instance: Sampler) -> None:
        """M22: a row depends on its seed alone."""
        (_, alone), (_, among) = (_run(with_steps(instance, 4), rows=rows) for rows in (1, 4))
        assert_close(alone[-1][0], among[-1][0], rtol=1e-12, atol=1e-12)

    def test_states_of_numbers_stay_as_they_were(self, instance: Sampler) -> None:
        """Each is a new tensor."""
        yielded, copies = [], []
        for state in _walk(with_steps(instance, 4), rows=2):
            yielded.append(state)
            copies.append(state.clone())
        for state, copy in zip(yielded, copies, strict=True):
            assert torch.equal(copy, state), "a state was overwritten after it was yielded"


class NumberHeadContract(Contract["ProjectionHead"]):
    """Subclass it and set ``component``: the class of a head of numbers, or one built."""

    varied: ClassVar = {"test_shapes": {}}

    @classmethod
    def try_out(cls, plugin: ProjectionHead) -> None:
        """What it builds are modules of torch."""
        expect(seeded(lambda: plugin.build(DIM, SPACE)), nn.Module, "build")

    def test_shapes(self, instance: ProjectionHead) -> None:
        """Numbers of any precision to states, and states to clean means."""
        module: Any = seeded(lambda: instance.build(DIM, SPACE))
        for dtype in (torch.float32, torch.float64):
            h = module.encode(torch.randn(2, 7, 3, generator=_seeded()).to(dtype))
            assert ((2, 7, DIM), torch.float32) == (tuple(h.shape), h.dtype)
            assert (2, 7, 3) == tuple(module.decode(h).shape)

    def test_decodes_each_position_by_itself(self, instance: ProjectionHead) -> None:
        """As heads of tokens do."""
        module = stir(seeded(lambda: instance.build(DIM, SPACE)))
        h = module.encode(torch.randn(2, 7, 3, generator=_seeded()))
        alone = [module.decode(h[:, i : i + 1]) for i in range(7)]
        assert_close(torch.cat(alone, 1), module.decode(h), rtol=1e-4, atol=1e-5)

    def test_every_parameter_learns(self, instance: ProjectionHead) -> None:
        """From numbers and states that are all there."""
        module = stir(seeded(lambda: instance.build(DIM, SPACE)))
        assert_learns(module, module.decode(module.encode(torch.randn(2, 7, 3))))

    def test_seed_decides(self, instance: ProjectionHead) -> None:
        """Torch's generator is the only source of the first weights."""
        first, again = (seeded(lambda: instance.build(DIM, SPACE)) for _ in range(2))
        assert same_parameters(first, again)


class NumberObjectiveContract(Contract["Objective"]):
    """Subclass it and set ``component``: the class of an objective of numbers, or one built."""

    @classmethod
    def try_out(cls, plugin: Objective) -> None:
        """Losses are a tensor, one a row."""
        losses = expect(_loss(plugin, 0.1), Tensor, "score")
        assert (ROWS,) == tuple(losses.shape), f"losses of shape {tuple(losses.shape)}"

    def test_the_truth_of_numbers_costs_nothing(self, instance: Objective) -> None:
        """And everything else does, at every time; twice as far is dearer."""
        assert not _loss(instance, 0.0).any()
        near, far = _loss(instance, 0.1), _loss(instance, 0.2)
        assert near.isfinite().all()
        assert (near >= 0).all()
        assert (near > 0).double().mean() > 0.99
        assert far.mean() > near.mean()

    def test_numbers_that_are_given_count_for_nothing(self, instance: Objective) -> None:
        """Neither noised nor learned."""
        targets = torch.tensor([True, False]).expand(ROWS, -1)
        part, whole = _loss(instance, 0.1, targets), _loss(instance, 0.1)
        assert (part <= whole).all()
        assert abs(float(part.mean() / whole.mean()) - 0.5) < 0.2

    def test_is_a_bound_of_numbers_where_it_says_so(self, instance: Objective) -> None:
        """M17: with the exact mean it averages to what is known of a normal distribution."""
        if not instance.bound:
            return
        oracle, eps = NormalOracle(Straight()), 1e-3
        losses = _loss(instance, None, eps=eps)
        level = oracle.noise.alpha(torch.tensor(eps, dtype=torch.float64))
        left = 1 / (1 / oracle.deviation**2 + float(level / (1 - level)))
        exact = LENGTH * SPACE.channels * 0.5 * math.log(oracle.deviation**2 / left)
        error = float(losses.std()) / math.sqrt(ROWS)
        assert float(losses.mean()) > 0.99 * exact - 4 * error, "below what the numbers tell"


class _Said:
    """What a network says that is off by so much, or the exact mean where that is unset."""

    def __init__(self, off: float | None) -> None:
        self.off, self.process = off, process_of(Normal(), SPACE)

    def place(self, tensor: Tensor) -> Tensor:
        """Where it is."""
        return tensor

    def log_probs(self, h: Tensor) -> Tensor:
        """The states themselves."""
        return h

    logits = log_probs

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """There are no tokens."""
        raise AssertionError("an objective of numbers asks for the losses of tokens")


def _loss(
    objective: Objective, off: float | None, targets: Tensor | None = None, eps: float = 1e-4
) -> Tensor:
    generator = _seeded()
    noise, decoder = Straight(), _Said(off)
    x0 = NormalOracle.mean + NormalOracle.deviation * torch.randn(
        ROWS, LENGTH, 3, generator=generator
    )
    times = eps + (1 - eps) * (torch.randperm(ROWS, generator=generator) + 0.5).double() / ROWS
    if targets is None:
        targets = torch.ones(ROWS, LENGTH, dtype=torch.bool)
    context = TrainingContext(noise, cast("TokenProcess", decoder.process))
    random = RowRandom.numbered(0, range(ROWS), LENGTH)
    noisy = objective.draw(x0, targets, times[:, None], random, context)
    said = x0 + off if off is not None else NormalOracle(noise)(noisy.z, noisy.times[:, 0])
    return objective.score(noisy, Answer(decoder, noisy, said), context)


def with_steps(sampler: Any, steps: int) -> Any:
    """A sampler with another number of steps; itself where it has no such field."""
    known = {field.name for field in attrs.fields(type(sampler))}
    return attrs.evolve(sampler, steps=steps) if "steps" in known else sampler


def _draws(random: RowRandom) -> SamplingContext:
    rows = len(random.uniform())
    return SamplingContext(
        noise=Straight(),
        mask_id=-1,
        fixed=torch.zeros(rows, LENGTH, dtype=torch.bool),
        random=random,
    )


def _walk(sampler: Sampler, rows: int, fixed: Tensor | None = None) -> Iterator[Tensor]:
    noise, process = Straight(), process_of(Normal(), SPACE)
    random = RowRandom(range(rows), LENGTH)
    x = process.prior(random.fork(7).uniform(SPACE.channels))
    context = SamplingContext(
        noise=noise,
        mask_id=-1,
        fixed=torch.zeros(rows, LENGTH, dtype=torch.bool) if fixed is None else fixed,
        random=random,
        process=cast("TokenProcess", process),
    )
    yield x
    yield from states(sampler.denoise(x, context), x, NormalOracle(noise))


def _run(sampler: Sampler, rows: int, fixed: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
    x, *seen = _walk(sampler, rows, fixed)
    return x, seen


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
