"""What is said of a row is the same whatever its batch mates, bit for bit, on the CPU.

Issue 16, part 3; S6 of the notes on serving. The sizes are those that the note measured.
"""

import numpy as np
import pytest
import torch

from aios_core.contracts import Condition, Vocabulary
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.diffusion.rounding import TILE, filled, repeated, up, widths
from aios_core.inference import ArrowEngine, InferenceCore
from aios_core.testing.modules import stir
from aios_plugins.backbones.transformer import KeyValueCache, Transformer
from aios_plugins.conditioners._recall import Memories
from aios_plugins.conditioners.memory import Memory
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.entropy_bounded import EntropyBounded
from aios_plugins.samplers.remdm import Conf
from aios_plugins.samplers.threshold import Threshold

VOCABULARY = Vocabulary(size=101, mask_id=97, pad_id=98, bos_id=99, eos_id=100)
ROWS, LENGTH, TOGETHER = 64, 30, (1, 5, 16, 64)
FEW = 21
"""Rows of what is a variation: at 5 and 16 at once too, the last batch holds one of them."""


def model(mode="diffusion", *, corruption=None, block_size=None, **settings):
    torch.manual_seed(0)
    backbone = Transformer(**{"dim": 32, "layers": 2, "heads": 2, **settings})
    parts = Text(), backbone, LogLinear(), corruption or Absorbing(), VOCABULARY
    return stir(Model(*parts, mode=mode, length=LENGTH, block_size=block_size)).eval()


def texts(lengths):
    """Rows of these lengths, of which the first few tokens are given, and one in the middle."""
    draw = torch.Generator().manual_seed(1)
    x = torch.full((len(lengths), max(lengths)), VOCABULARY.pad_id)
    for row, length in zip(x, lengths, strict=True):
        row[:length] = VOCABULARY.mask_id
        given = int(torch.randint(0, 12, (), generator=draw))
        row[:given] = torch.randint(0, 90, (given,), generator=draw)
        row[min(length - 2, 17)] = 5
    return x


def same(first, other):
    return all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def written(core, x, lengths, together):
    """Ids, confidences and entropies of all rows, so many at once, padding left out."""
    rows = []
    for start in range(0, len(x), together):
        part = slice(start, start + together)
        width = max(lengths[part])
        states = core.stream(x[part, :width], seeds=range(len(x))[part], lengths=lengths[part])
        *_, last = states
        for row, length in enumerate(lengths[part]):
            values = last.ids, last.confidence, last.entropy
            rows.append([value[row, :length] for value in values])
    return rows


@pytest.mark.parametrize(
    ("sampler", "made", "how"),
    [
        (Confidence(steps=7), {}, {}),
        (Ancestral(steps=7), {}, {}),
        (Threshold(tau=0.1), {}, {}),
        (EntropyBounded(), {}, {"temperature": 0.7}),
        (Conf(steps=7), {}, {}),
        (Ancestral(steps=5), {"time_conditioned": True}, {}),
        (Ancestral(steps=5), {"corruption": Uniform()}, {}),
        (Confidence(steps=3), {}, {"block_size": 6}),
        (Confidence(steps=3), {"block_size": 8}, {}),
        (Confidence(steps=3), {"block_size": 5}, {}),
        (Ancestral(steps=2), {"block_size": 1, "time_conditioned": True}, {}),
    ],
)
def test_diffusion(sampler, made, how):
    rows = FEW if made or how or not isinstance(sampler, Confidence | Ancestral) else ROWS
    lengths = [LENGTH] * 10 + [13 + row % 18 for row in range(10, rows)]
    core = DiffusionCore(model(**made), sampler, LogLinear(), VOCABULARY.mask_id, **how)
    x = texts(lengths)
    alone, *others = (written(core, x, lengths, together) for together in TOGETHER)
    for together, actual in zip(TOGETHER[1:], others, strict=True):
        differ = [i for i, (a, b) in enumerate(zip(alone, actual, strict=True)) if not same(a, b)]
        assert not differ, f"{len(differ)} rows of {rows} differ with {together} at once"


@pytest.mark.parametrize("cache", ["takes", "does not take", "none"])
@pytest.mark.parametrize("prompts", [1, 9])
def test_autoregressive(monkeypatch, cache, prompts):
    if cache == "does not take":
        monkeypatch.delattr(KeyValueCache, "take")
    core = InferenceCore(model("ar"), cached=cache != "none")
    number = ROWS if cache == "takes" and prompts > 1 else FEW
    draw = torch.Generator().manual_seed(1)
    starts = [torch.randint(0, 90, (3 + i % prompts,), generator=draw).tolist()
              for i in range(number)]  # fmt: skip
    counts = [5 + i % 4 for i in range(number)]

    def rows(together):
        made = []
        for start in range(0, number, together):
            part = slice(start, start + together)
            steps = list(
                core.stream(starts[part], seeds=range(number)[part], max_new_tokens=counts[part])
            )
            for row, count in enumerate(counts[part]):
                kept = steps[:count]
                made.append(
                    [torch.stack([getattr(step, name)[row] for step in kept])
                     for name in ("tokens", "log_probs", "entropy")]
                )  # fmt: skip
        return made

    alone, *others = map(rows, TOGETHER)
    for together, actual in zip(TOGETHER[1:], others, strict=True):
        differ = [i for i, (a, b) in enumerate(zip(alone, actual, strict=True)) if not same(a, b)]
        assert not differ, f"{len(differ)} rows of {number} differ with {together} at once"


def test_through_the_engine(run):
    """Prompts of several lengths, gaps and guidance, as users meet them."""
    engine = ArrowEngine.load(run)
    prompts = ["a", "the", "Return", "Return the", "x = 1"]
    seeds = [3, 4, 5, 6, 7]
    for ask in (
        {"max_new_tokens": 9, "mode": "diffusion"},
        {"max_new_tokens": 9, "mode": "diffusion", "guidance_scale": 2.0},
        {"max_new_tokens": 9, "mode": "ar"},
    ):
        together = engine.generate(prompts, seeds=seeds, **ask)
        for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            alone = engine.generate(prompt, seeds=[seed], **ask)
            for name in ("token_ids", "log_probs", "uncertainty"):
                assert getattr(alone, name)[0] == getattr(together, name)[number], name


def test_memories_too():
    """Whose number is no multiple of a tile."""
    torch.manual_seed(0)
    conditioner = Memory(k=3, dim=8, num_tokens=1, heads=2)
    parts = Text(), Transformer(dim=32, layers=2, heads=2), LogLinear(), Absorbing(), VOCABULARY
    made = stir(Model(*parts, length=LENGTH, conditioner=conditioner)).eval()
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(ROWS, 3, 8)).astype(np.float32)
    scores, valid = draw.random((ROWS, 3)).astype(np.float32), draw.random((ROWS, 3)) < 0.8
    cues = Memories(vectors, scores, valid, ((),) * ROWS)
    lengths = torch.tensor([13 + row % 18 for row in range(ROWS)])
    x, t = texts(lengths.tolist()), torch.ones(ROWS).double()
    shown = torch.arange(x.shape[1]) < lengths[:, None]

    def asked(rows):
        model = made.conditioned(cues.taken(rows.numpy()))
        width = int(lengths[rows].max())
        answer = model.denoiser(Condition(shown[rows, :width]))(x[rows, :width], t[rows])
        return [row[:n] for row, n in zip(answer, lengths[rows].tolist(), strict=True)]

    with torch.no_grad():
        alone, *others = (
            [row for rows in torch.arange(ROWS).split(n) for row in asked(rows)] for n in TOGETHER
        )
        bare = made.denoiser()(x[:1], t[:1])
    assert not torch.equal(bare[0, : lengths[0]], alone[0])
    assert all(same(alone, rows) for rows in others)


def test_rows_are_read_in_their_own_width():
    """No row costs what its longest mate does, and each asks of no more than its own text."""
    valid = torch.tensor([[True] * 3 + [False] * 7, [True] * 10, [True] * 4 + [False] * 6])
    read = widths(valid)
    assert {4: [0, 2], 12: [1]} == {width: rows.tolist() for width, rows in read.items()}
    denoiser = model().denoiser(Condition(valid))
    x = torch.full((3, 10), VOCABULARY.mask_id)
    answer = denoiser(x.masked_fill(~valid, 0), torch.ones(3).double())
    assert (answer[0, 3:].argmax(-1) == 0).all()
    assert (answer.exp().sum(-1) - 1).abs().max() < 1e-5


def test_numbers_that_are_rounded_up():
    assert [0, TILE, TILE, 2 * TILE] == [up(n, TILE) for n in (0, 1, TILE, TILE + 1)]
    h = torch.ones(5, 2)
    assert (8, 2) == filled(h, 4).shape
    assert filled(h, 5) is h
    assert [3, 1, 3, 3] == repeated(torch.tensor([3, 1]), 4).tolist()
