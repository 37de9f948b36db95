"""Texts beyond the length of the training, in windows no longer than it."""

import json
import logging
import random
import re

import pytest

from aios_core.config import resolve
from aios_core.inference import ArrowEngine, plan
from aios_core.inference.windows import WindowedRun
from aios_core.testing.fixtures import tiny_values
from aios_core.training.trainer import train

LENGTH = 24  # of the training of the run, with the begin token


@pytest.fixture(scope="module")
def wide(run):
    return ArrowEngine.load(run, context=90)


@pytest.fixture
def widths(wide, monkeypatch):
    """Widths that the network is asked in."""
    model, seen = wide.models["diffusion"].model, []
    states = type(model).states

    def watched(self, x, *others):
        seen.append(x.shape[1])
        return states(self, x, *others)

    monkeypatch.setattr(type(model), "states", watched)
    return seen


@pytest.mark.parametrize("sampler", ["ancestral", "confidence", "remdm-conf", "threshold"])
def test_no_window_is_longer_than_those_of_the_training(wide, widths, caplog, sampler):
    ask = {"sampler": sampler, "ignore_eos": True}
    with caplog.at_level(logging.WARNING):
        prompts = ["milk", "", "x" * 40]
        output = wide.diffuse(prompts, max_new_tokens=50, seeds=[1, 2, 3], **ask)

    assert max(widths) <= LENGTH
    assert "longer than" not in caplog.text
    vocabulary = wide.tokenizer.vocabulary
    for ids, given, log_probs in zip(output.token_ids, output.given, output.log_probs, strict=True):
        assert 50 == given.count(False)
        assert vocabulary.mask_id not in ids
        assert all((value == 0) == kept for value, kept in zip(log_probs, given, strict=True))
    for number, prompt in enumerate(prompts):  # whatever the batch mates
        alone = wide.diffuse(prompt, max_new_tokens=50, seeds=[number + 1], **ask)
        assert alone.token_ids[0] == output.token_ids[number]
        assert alone.log_probs[0] == output.log_probs[number]


def test_the_stream_of_windows_is_one_text(wide):
    *states, last = wide.stream("milk", max_new_tokens=60, ignore_eos=True, sampler="confidence")

    assert last.output is not None
    assert "".join(update.deltas[0] for update in [*states, last]) == last.output.completions[0]
    assert [update.step for update in states] == list(range(len(states)))
    masked = [update.token_ids[0].count(wide.tokenizer.vocabulary.mask_id) for update in states]
    assert masked == sorted(masked, reverse=True)
    assert (60, 0) == (masked[0], masked[-1])
    assert 60 == sum(flags.count(True) for update in states for flags in update.new)
    assert states[-1].nfe == last.output.nfe


def test_a_text_may_end_in_any_window(wide, monkeypatch):
    ended = wide.diffuse("", max_new_tokens=80, num_return_sequences=30, seed=5)
    reasons = dict(zip(ended.finish_reasons, ended.token_ids, strict=True))
    eos_id = wide.tokenizer.vocabulary.eos_id
    assert "stop" in reasons
    assert eos_id == reasons["stop"][-1]
    assert eos_id not in reasons["stop"][:-1]


@pytest.mark.parametrize(
    "ask",
    [
        {"mode": "ar"},
        {"guidance_scale": 2.0, "prompt": "milk"},
        {"regex": "[a-z ]*"},
        {"count_flips": True},
    ],
)
def test_what_is_of_the_whole_is_written_at_once_with_a_warning(wide, caplog, ask):
    with caplog.at_level(logging.WARNING):
        wide.generate(**{"prompt": "", "max_new_tokens": 40, **ask})
    assert f"are longer than those of the training, of {LENGTH - 1}" in caplog.text


def test_gaps_too(wide, caplog):
    with caplog.at_level(logging.WARNING):
        wide.infill("milk <mask:30> milk")
    assert f"are longer than those of the training, of {LENGTH - 1}" in caplog.text


@pytest.mark.parametrize("size", [1, 4, 8, 12])
@pytest.mark.parametrize("length", [25, 36, 37, 90])
@pytest.mark.parametrize("prompt", [0, 11, 24, 25, 80])
def test_windows_reach_the_end(size, length, prompt):
    class Model:
        length, block_size, in_blocks = 24, size, True

    class Run:
        model = Model

    known, windows = min(prompt, length - 1), WindowedRun(Run)
    while known < length:
        at = windows.span(known, length)
        assert at.start % size == 0
        assert known < at.stop <= length
        assert at.stop - at.start <= 24
        assert at.start <= max(0, known - 12)
        known = at.stop


def quarters(engine):
    """Share of well-formed text in each quarter of texts eight times as long as those learned.

    A token a step: with fewer steps the first window is worse than those behind it, for it fills in
    twice as many tokens with nothing to go by.
    """
    output = engine.diffuse(max_new_tokens=240, num_return_sequences=16, seed=3, ignore_eos=True)
    shares = []
    for start in range(0, 240, 60):
        part = [text[start : start + 60] for text in output.texts]
        items = [item for text in part for item in re.findall(r"\([a-h][A-H][a-h]\)", text)]
        shares.append(sum(map(len, items)) / sum(map(len, part)))
    return shares


def pairs(draw):
    return [(draw.choice("abcdefgh"), draw.choice("abcdefgh")) for _ in range(80)]


def test_every_quarter_is_as_well_formed_as_the_first(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    draw = random.Random(0)
    texts = ["".join(f"({a}{b.upper()}{a})" for a, b in pairs(draw)) for _ in range(100)]
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (tmp_path / "corpus.jsonl").write_text(lines)
    values = tiny_values(tmp_path / "corpus.jsonl") | {
        "backbone": {"type": "transformer", "dim": 64, "layers": 2, "heads": 2},
        "diffusion": {"length": 30},
        "training": {"steps": 400, "batch_size": 32, "learning_rate": 3e-3},
        "sampler": {"type": "confidence", "steps": 30},
        "sampling": {"batch_size": 16},
    }
    train(resolve(values), tmp_path / "run", progress=False)
    engine = ArrowEngine.load(tmp_path / "run", context=240)

    first, *others = quarters(engine)
    assert first > 0.6
    assert min(others) >= 0.7 * first
    monkeypatch.setattr(plan, "slide", lambda *_: False)  # at once nothing is left of it
    assert max(quarters(engine)) < 0.2 * first
