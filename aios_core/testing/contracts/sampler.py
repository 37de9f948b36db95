"""What every sampler must do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from aios_core.contracts import Corruption, NoiseScheduler, Sampler, SamplingContext
from aios_core.contracts.denoising import states
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.random import RowRandom
from aios_core.testing.contracts.base import Contract
from aios_core.testing.oracle import NoisyOracle, Oracle

if TYPE_CHECKING:
    from aios_core.contracts import Denoiser, Spacing, Vocabulary

ROWS = 20_000
"""Samples drawn to compare with the joint; the floor of their total variation is 0.037."""
TOLERANCE = 1.25
"""Of the total variation over its floor; the ratio itself has a standard deviation of 0.05."""


class Linear(NoiseScheduler):
    """alpha(t) = 1 - t, so that n steps lift n masks one by one."""

    def alpha(self, t: Tensor) -> Tensor:
        """1 - t."""
        return 1 - t


class Mixed(Corruption):
    """A mask with a constant probability, else any other token."""

    def __init__(self, masks: float) -> None:
        self.masks = masks

    def noise(self, alpha: Tensor, vocabulary: Vocabulary) -> Tensor:
        """The same at every level."""
        share = alpha.new_full((vocabulary.size,), (1 - self.masks) / (vocabulary.size - 1))
        share[vocabulary.mask_id] = self.masks
        return share.expand(*alpha.shape, -1)


class Padded:
    """An oracle for rows with padding on the right, which it does not look at."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle, self.mask_id = oracle, oracle.mask_id
        self.time_conditioned = oracle.time_conditioned

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The oracle's answer, and certainty at the padding."""
        text, padding = x[:, : self.oracle.length], x[:, self.oracle.length :]
        certain = one_hot(padding, self.oracle.vocab + 1).double().log()
        return torch.cat((self.oracle(text, t), certain), 1)


class Forgetful:
    """An oracle that says of what is given that it is another token, as guidance may."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle, self.mask_id, self.length = oracle, oracle.mask_id, oracle.length
        self.time_conditioned = True

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The oracle's answer where there are masks, and the next token for sure elsewhere."""
        other = one_hot((x + 1) % self.oracle.vocab, self.oracle.vocab + 1).double().log()
        return torch.where((x == self.mask_id)[..., None], self.oracle(x, t), other)


class Recorded(Oracle):
    """An oracle that says it depends on the time, and keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(time_conditioned=True)
        self.asked: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The oracle's answer."""
        self.asked.append((x.clone(), t.clone()))
        return super().__call__(x, t)


class SamplerContract(Contract["Sampler"]):
    """Subclass it and set ``component``: a sampler's class, or one that is built.

    Override `with_steps` for a sampler whose number of steps is not the field ``steps``.
    """

    numbers: ClassVar = "aios_core.testing.contracts.numbers:NumberSamplerContract"

    varied: ClassVar = {
        "test_fills_in_every_mask": {"steps": 3},
        "test_what_is_given_stays_whatever_is_said_of_it": {"steps": 8},
        "test_seed_decides": {"temperature": 0.0},
    }

    @classmethod
    def try_out(cls, plugin: Sampler) -> None:
        """Its states are tokens, each in a tensor of the shape of the first."""
        oracle = Oracle()
        sampler, x = cls().with_steps(plugin, 3), _partly_masked(oracle)
        for state in walk(sampler, oracle, x, context(oracle, x, range(len(x)))):
            kind = state.dtype, tuple(state.shape)
            assert kind == (torch.int64, tuple(x.shape)), (
                f"a step gives {kind[0]} of shape {kind[1]}; expected torch.int64 of shape "
                f"{tuple(x.shape)}"
            )
            places = ((state < 0) | (state > oracle.mask_id)).nonzero().tolist()
            assert not places, (
                f"a step gives token {int(state[tuple(places[0])])}; expected 0 to {oracle.mask_id}"
            )

    def with_steps(self, sampler: Any, steps: int) -> Sampler:
        """The sampler with another number of steps; itself where it has no such field."""
        if "steps" in {field.name for field in attrs.fields(type(sampler))}:
            sampler = attrs.evolve(sampler, steps=steps)
        other: Sampler = sampler
        return other

    def test_declares_its_exactness(self, instance: Sampler) -> None:
        """``exact`` says when samples follow the joint."""
        expected = ("always", "in the limit", "one at a time", "never")
        exact = getattr(instance, "exact", None)
        assert exact in expected, f"exact is {exact!r}; expected one of {expected}"

    def test_follows_the_joint(self, instance: Sampler) -> None:
        """T3: as exactly as it declares, against an enumerated joint."""
        oracle = Oracle()

        def distance(steps: int) -> float:
            sampler = self.with_steps(instance, steps)
            ids = run(sampler, oracle, oracle.prior(ROWS), range(ROWS))[-1]
            return oracle.total_variation(ids) / oracle.floor(ROWS)

        exact = getattr(instance, "exact", "never")  # a test of its own says that it is missing
        if exact == "always":
            steps = {1, 7} if self.with_steps(instance, 1) != self.with_steps(instance, 7) else {1}
            far = {n: distance(n) for n in steps}
            assert max(far.values()) < TOLERANCE, f"not exact: floors away from the joint: {far}"
        elif exact == "one at a time":
            far = {n: distance(n) for n in (1, 4 * oracle.length)}
            assert far[4 * oracle.length] < TOLERANCE, f"not exact one at a time: floors: {far}"
        elif exact == "in the limit":
            far = {n: distance(n) for n in (1, 4, 16, 100)}
            assert far[1] > far[4] > far[16], f"the error does not fall with the steps: {far}"
            assert far[100] < TOLERANCE, f"not exact in the limit: floors: {far}"

    def test_follows_the_joint_under_other_noise(self, instance: Sampler) -> None:
        """T3: what serves every corruption is as exact under hybrid and uniform noise."""
        if instance.absorbing_only:
            pytest.skip("this sampler works with masks alone, which is allowed")

        rows = 4000

        def distance(corruption: Corruption, steps: int) -> float:
            oracle = NoisyOracle(corruption, Linear(), length=3)
            core = DiffusionCore(
                oracle,
                self.with_steps(instance, steps),
                Linear(),
                oracle.mask_id,
                process=oracle.process,
            )
            ids = core.sample(oracle.prior(rows), seeds=range(rows)).ids
            assert not (ids == oracle.mask_id).any(), "a mask is left"
            return oracle.total_variation(ids) / oracle.floor(rows)

        for corruption in (Mixed(0.0), Mixed(0.5)):
            far = {n: distance(corruption, n) for n in (1, 4, 100)}
            assert far[1] > far[4] > far[100], f"the error does not fall with the steps: {far}"
            if getattr(instance, "exact", "never") in {"in the limit", "always"}:
                assert far[100] < 1.6, f"not exact in the limit: floors: {far}"

    def test_follows_the_joint_given_parts(self, instance: Sampler) -> None:
        """T3, T14: where parts of texts from the joint are given, the wholes follow it again."""
        exact = getattr(instance, "exact", "never")
        if exact == "never":
            pytest.skip("this sampler follows no joint, which is allowed")
        rows = 4000
        kinds: list[Corruption | None] = [None]
        if not instance.absorbing_only:
            kinds += [Mixed(0.0), Mixed(0.5)]
        for corruption in kinds:
            if corruption is None:
                oracle, tolerance = Oracle(), TOLERANCE
                generator = torch.Generator().manual_seed(2)
                free = torch.rand(rows, 5, generator=generator).argsort(-1) < 3
            else:
                oracle, tolerance = NoisyOracle(corruption, Linear(), length=3, given=(1,)), 1.6
                free = torch.tensor([True, False, True]).expand(rows, -1)
            x = oracle.draw(rows, seed=1).masked_fill(free, oracle.mask_id)
            core = DiffusionCore(
                oracle,
                self.with_steps(instance, 100),
                Linear(),
                oracle.mask_id,
                process=oracle.process,
            )
            ids = core.sample(x, seeds=range(rows)).ids
            assert torch.equal(x[~free], ids[~free]), "a given token was changed"
            far = oracle.total_variation(ids) / oracle.floor(rows)
            assert far < tolerance, f"not exact given a part: {far:.2f} floors away from the joint"

    @pytest.mark.parametrize("steps", [1, 3, 5, 50])
    def test_fills_in_every_mask(self, instance: Sampler, steps: int) -> None:
        """T13, T17: whatever a row's number of masks, also with more steps than masks."""
        oracle, sampler = Oracle(), self.with_steps(instance, steps)
        x = _partly_masked(oracle)
        visited = run(sampler, oracle, x, range(len(x)))
        assert not (visited[-1] == oracle.mask_id).any(), "a mask is left"
        for state in visited:
            assert x.shape == state.shape
            assert ((state >= 0) & (state <= oracle.mask_id)).all(), "no such token"

    @pytest.mark.parametrize("spacing", ["uniform", "cosine"])
    def test_what_is_given_stays(self, instance: Sampler, spacing: Spacing) -> None:
        """T12, T14: fixed tokens always; committed ones unless the sampler remasks."""
        oracle = Oracle(seed=1)
        x = _partly_masked(oracle)
        visited = run(self.with_steps(instance, 8), oracle, x, range(len(x)), spacing=spacing)
        given = x != oracle.mask_id
        for before, after in zip([x, *visited], visited, strict=False):
            assert torch.equal(x[given], after[given]), "a fixed token was changed"
            if not instance.remasks:
                kept = before != oracle.mask_id
                assert torch.equal(before[kept], after[kept]), "a committed token was changed"

    @pytest.mark.parametrize("steps", [1, 8])
    def test_what_is_given_stays_whatever_is_said_of_it(
        self, instance: Sampler, steps: int
    ) -> None:
        """T14: no prediction moves a fixed token, not even in the last step."""
        oracle = Oracle(seed=1)
        x = _partly_masked(oracle)
        sampler = self.with_steps(instance, steps)
        for state in run(sampler, Forgetful(oracle), x, range(len(x))):
            moved = (state != x) & (x != oracle.mask_id)
            assert not moved.any(), "a fixed token was changed for what the prediction says of it"

    def test_never_writes_into_a_state(self, instance: Sampler) -> None:
        """Each state is a new tensor: what was yielded stays as it was."""
        oracle = Oracle()
        x, yielded, copies = oracle.prior(8), [], []
        sampler = self.with_steps(instance, 8)
        for state in walk(sampler, oracle, x, context(oracle, x, range(8))):
            yielded.append(state)
            copies.append(state.clone())
        assert torch.equal(oracle.prior(8), x), "the input was overwritten"
        for state, copy in zip(yielded, copies, strict=True):
            assert torch.equal(copy, state), "a state was overwritten after it was yielded"

    def test_nothing_to_do(self, instance: Sampler) -> None:
        """A text without masks stays as it is."""
        oracle = Oracle()
        x = oracle.draw(4)
        for state in run(instance, oracle, x, range(4)):
            assert torch.equal(x, state), "a text without masks was changed"

    def test_reuse_changes_nothing(self, instance: Sampler) -> None:
        """T15: the same text whether the network ignores time, and is asked less, or not."""
        ends, calls = [], []
        for time_conditioned in (True, False):
            oracle = Oracle(time_conditioned=time_conditioned)
            sampler = self.with_steps(instance, 32)
            ends.append(run(sampler, oracle, oracle.prior(4), range(4))[-1])
            calls.append(oracle.nfe)
        assert torch.equal(*ends), "the text depends on whether a prediction is reused"
        assert calls[1] <= calls[0], f"more calls where predictions can be reused: {calls}"

    @pytest.mark.parametrize(("rows", "steps"), [(200, 4), (1, 20)])
    def test_asks_anew_at_each_time(self, instance: Sampler, rows: int, steps: int) -> None:
        """T15: a network that depends on the time hears each state, and when it is that noisy."""
        oracle = Recorded()
        before, last = oracle.prior(rows), torch.ones(rows, dtype=torch.float64)
        sampler, surroundings = (
            self.with_steps(instance, steps),
            context(oracle, before, range(rows)),
        )
        for number, state in enumerate(walk(sampler, oracle, before, surroundings), 1):
            assert any(torch.equal(before, x) for x, _ in oracle.asked), (
                f"state {number} is made without asking about the one before it at its time"
            )
            for x, t in oracle.asked:
                assert (t.dtype, t.shape) == (torch.float64, (rows,)), (
                    f"the network gets {t.dtype} of shape {tuple(t.shape)}; expected a time of "
                    f"torch.float64 for each of {rows} rows"
                )
                masked, rate = float((x == oracle.mask_id).double().mean()), float(t.mean())
                assert rows == 1 or abs(masked - rate) < 0.2, (
                    f"the network gets a time of {rate:.2f} masks, and sees {masked:.2f}"
                )
                assert (t <= last).all(), "the time rises between two questions"
                last = t
            oracle.asked.clear()
            before = state

    def test_rows_are_independent(self, instance: Sampler) -> None:
        """T16: a row gives the same text alone, in a batch, and in a batch with padding."""
        oracle, sampler = Oracle(), self.with_steps(instance, 4)
        x = _partly_masked(oracle)
        together = run(sampler, oracle, x, range(len(x)))[-1]
        padded = torch.cat((x, torch.zeros_like(x)), 1)
        wide = run(sampler, Padded(oracle), padded, range(len(x)))[-1]
        assert torch.equal(together, wide[:, : oracle.length]), "padding changes a row"
        assert torch.equal(padded[:, oracle.length :], wide[:, oracle.length :]), (
            "padding was changed"
        )
        for i in range(len(x)):
            alone = run(sampler, oracle, x[i : i + 1], [i])
            last = alone[-1] if alone else x[i : i + 1]
            assert torch.equal(together[i], last[0]), f"row {i} depends on its batch mates"

    @pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
    def test_seed_decides(self, instance: Sampler, temperature: float) -> None:
        """The same seeds give the same text; other seeds, unless it is cold, another."""
        oracle, sampler = Oracle(), self.with_steps(instance, 4)
        x = oracle.prior(64)
        first, again, other = (
            run(sampler, oracle, x, seeds, temperature=temperature)[-1]
            for seeds in (range(64), range(64), range(64, 128))
        )
        assert torch.equal(first, again), "the same seeds give two texts"
        assert not (first == oracle.mask_id).any(), "a mask is left"
        if temperature > 0:
            assert not torch.equal(first, other), "other seeds give the same text"


def context(
    denoiser: Oracle | Padded | Forgetful,
    x: Tensor,
    seeds: Sequence[int],
    *,
    temperature: float = 1.0,
    spacing: Spacing = "uniform",
) -> SamplingContext:
    """The context in which all that is not masked in x is fixed."""
    return SamplingContext(
        noise=Linear(),
        mask_id=denoiser.mask_id,
        fixed=x != denoiser.mask_id,
        random=RowRandom(seeds, x.shape[1]),
        temperature=temperature,
        spacing=spacing,
        time_conditioned=denoiser.time_conditioned,
    )


def walk(
    sampler: Sampler, denoiser: Denoiser, x: Tensor, surroundings: SamplingContext
) -> Iterator[Tensor]:
    """Each state that the sampler comes by from x on, its questions answered by a denoiser."""
    return states(sampler.denoise(x, surroundings), x, denoiser)


def run(
    sampler: Sampler,
    denoiser: Oracle | Padded | Forgetful,
    x: Tensor,
    seeds: Sequence[int],
    *,
    temperature: float = 1.0,
    spacing: Spacing = "uniform",
) -> list[Tensor]:
    """Every state that the sampler comes by, starting from x."""
    surroundings = context(denoiser, x, seeds, temperature=temperature, spacing=spacing)
    return list(walk(sampler, denoiser, x, surroundings))


def _partly_masked(oracle: Oracle) -> Tensor:
    """Texts with 0, 1, ... L masks, in several places: (4 * (L + 1), L)."""
    x = oracle.draw(4 * (oracle.length + 1), seed=3)
    generator = torch.Generator().manual_seed(3)
    rank = torch.rand(x.shape, generator=generator).argsort(-1).argsort(-1)
    count = torch.arange(len(x)) % (oracle.length + 1)
    return x.masked_fill(rank < count[:, None], oracle.mask_id)
