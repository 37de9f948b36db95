"""What sampling allocates: every allocation is traced, a kernel's own included."""

import attrs
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from aios_core.contracts import Controls, Vocabulary
from aios_core.diffusion import chunking
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.testing.conformance import tokens
from aios_core.testing.modules import stir
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.heads.text import Text
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.confidence import Confidence

LENGTH, VOCAB, CALLS = 64, 2000, 3
ANSWER = LENGTH * VOCAB * 4
VOCABULARY = Vocabulary(size=VOCAB, mask_id=0, pad_id=1, bos_id=2, eos_id=3)
SAMPLERS = tokens("sampler")


def allocations(model, sampler, **settings):
    """Bytes of each allocation, negative where memory is given back, and calls of the network."""
    core = DiffusionCore(model, sampler, model.noise, VOCABULARY.mask_id, **settings)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as traced:
        for state in core.stream(torch.zeros(1, LENGTH, dtype=torch.int64), seeds=[0]):
            if state.nfe == CALLS:
                break
    events = traced.profiler.kineto_results.events()
    return [event.nbytes() for event in events if event.name() == "[memory]"], state.nfe


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(chunking, "_ENTRIES", 2 * VOCAB)
    torch.manual_seed(0)
    return stir(Model(Text(), Transformer(dim=8, heads=2), LogLinear(), Absorbing(), VOCABULARY))


@pytest.mark.parametrize(
    ("name", "controls"), [*((name, False) for name in SAMPLERS), ("ancestral", True)]
)
def test_one_answer_at_a_time(model, name, controls):
    """No step makes a second tensor of (B, L, V), nor keeps the last one while it makes another."""
    cls = SAMPLERS[name]
    sampler = cls(steps=4) if "steps" in attrs.fields_dict(cls) else cls()
    settings = {}
    if controls:
        settings["controls"] = Controls(
            top_k=50, top_p=0.9, min_p=0.01, repetition_penalty=1.1, suppress_tokens=(5,)
        )
    sizes, calls = allocations(model, sampler, **settings)
    assert calls == sum(size >= ANSWER / 2 for size in sizes)
    assert max(torch.tensor(sizes).cumsum(0)) < 1.9 * ANSWER


@pytest.mark.parametrize("measure", ["probability", "margin", "entropy"])
@pytest.mark.parametrize("selection", ["choose-then-sample", "sample-then-choose"])
def test_measures_of_confidence_too(model, measure, selection):
    sampler = Confidence(steps=4, measure=measure, selection=selection, choice_temperature=0.5)
    sizes, calls = allocations(model, sampler)
    assert calls == sum(size >= ANSWER / 2 for size in sizes)


def test_blocks_make_no_answer_for_the_whole(model):
    sizes, _ = allocations(model, Confidence(steps=4), block_size=8, cache="dual")
    assert 0 == sum(size >= ANSWER / 4 for size in sizes)
