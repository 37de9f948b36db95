"""What an evaluation measures, and on which texts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
import torch
from attrs import frozen

import aios_core
from aios_core import allocation
from aios_core.cli.evaluate import print_evaluation
from aios_core.config import resolve
from aios_core.contracts import Estimate, Metric, Samples, Sequences
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.random import row_seed
from aios_core.errors import ConfigError, DataError, InferenceError, TrainingError
from aios_core.experiment import evaluate
from aios_core.experiment.evaluate import (
    Subject,
    _difference,
    _held_out_texts,
    _readable,
    evaluate_model,
    evaluate_run,
    evaluate_samples,
)
from aios_core.experiment.run import ready
from aios_core.experiment.sampling import Sampled, ended, sample, texts_of
from aios_core.registry import Registry
from aios_core.training import quantize
from aios_core.training.data import prepare
from aios_core.training.trainer import train
from aios_core.training.yardsticks import yardsticks
from aios_plugins.metrics.distinct import Distinct
from aios_plugins.metrics.entropy import Entropy

WORDS = "".join(f"{n} bottles of milk on the wall, {n} bottles of milk.\n" for n in range(200))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / "corpus.txt").write_text(WORDS)
    values = {
        "dataset": {"type": "file", "path": str(folder / "corpus.txt")},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
        "diffusion": {"length": 16},
        "training": {"steps": 4, "batch_size": 4, "warmup_steps": 2},
        "sampling": {"num_samples": 6},
        "sampler": {"type": "ancestral", "steps": 3},
        "evaluation": {"twin": False, "draws": 1},
        "metrics": [{"type": "entropy"}, {"type": "distinct"}, {"type": "nelbo"}],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        train(resolve(values), folder / "run", progress=False)
    return folder / "run", values


@pytest.fixture
def subject(made):
    folder, values = made
    return lambda *overrides: Subject.load(folder, resolve(values, overrides=overrides))


def test_the_reference_is_held_out_text(subject):
    """Section 5, experiment/evaluate.py:117: the same measures, of real texts and not samples."""
    measured = subject()
    result = evaluate_samples(measured, None)
    whole = measured.held_out.sequences(16)
    rows = whole[torch.linspace(0, len(whole) - 1, 6).round().long()]
    rows = ended(rows, measured.tokenizer.vocabulary.eos_id)
    real = Samples(
        rows, texts_of(rows, measured.tokenizer, measured.held_out.framing), 0, 0.0, "none"
    )
    evidence = attrs.evolve(_evidence(measured), samples=real)

    for metric in (Entropy(), Distinct()):
        for name, estimate in metric.measure(evidence).items():
            assert estimate.value == result["reference"][name]["value"]
    assert result["reference"] != result["metrics"]


def _evidence(measured):
    from aios_core.contracts import Evidence

    return Evidence(
        measured.config, measured.model, measured.tokenizer, measured.held_out, None, None
    )


def test_bytes_are_those_of_the_tokens_that_are_measured(subject):
    """Section 5, experiment/evaluate.py:225: with max_tokens, bits a byte count the cut alone."""
    part, whole = (subject(f"evaluation.max_tokens={n}") for n in (100, 10**9))

    assert 95 == len(part.held_out.ids) == part.held_out.num_bytes, "six sequences and no end"
    assert evaluate_model(part)["bytes"] == len(part.tokenizer.decode(part.held_out.ids).encode())
    assert len(whole.held_out.ids) - 1 == whole.held_out.num_bytes
    assert whole.held_out.num_bytes == pytest.approx(len(WORDS) / 10, abs=1)


def test_yardsticks_are_what_knows_nothing_and_counts_alone_reach(made, subject, capsys):
    """Nats a token say little to who does not know those."""
    measured = subject("evaluation.max_tokens=100")
    result = evaluate_model(measured)
    learned = prepare(resolve(made[1])).train.rows
    expected = yardsticks(learned, measured.held_out, measured.tokenizer.vocabulary)

    assert expected == result["yardsticks"]
    assert 2 < expected["unigram"] < 4 < expected["uniform"]
    assert {"nelbo": math.exp(result["metrics"]["nelbo"]["value"])} == result["perplexity"]
    print_evaluation({"model": result})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["uniform", "nll", "5.557", "nats/token", "259"] in lines
    assert f"{result['perplexity']['nelbo']:.4g}" in lines[1]
    bits = expected["unigram"] / math.log(2) * result["tokens"] / result["bytes"]
    assert ["unigram", "nll_bpb", f"{bits:.4g}", "bits/byte"] in lines


def test_yardsticks_on_other_texts_are_those_of_the_rows_learned_from(made, tmp_path):
    """As long as they are there."""
    folder, values = made
    (tmp_path / "other.txt").write_text("Some quite other text. " * 9)
    over = ["metrics=[]", "evaluation.twin=false"]
    result = evaluate_run(folder, overrides=over, texts=tmp_path / "other.txt")["model"]
    assert result["yardsticks"]["unigram"] > 3
    moved = Path(values["dataset"]["path"]).rename(tmp_path / "moved.txt")
    try:
        gone = evaluate_run(folder, overrides=over, texts=tmp_path / "other.txt")["model"]
        assert {"uniform"} == gone["yardsticks"].keys()
    finally:
        moved.rename(values["dataset"]["path"])


@pytest.mark.parametrize(
    "override", ["diffusion.length=32", "seed=1", "noise.type=cosine", "training.steps=5"]
)
def test_what_would_need_another_training_is_refused(made, override):
    """Section 5, experiment/evaluate.py:177: a network is measured as what it was trained to be."""
    with pytest.raises(ConfigError, match="would need another training"):
        evaluate_run(made[0], overrides=[override])


def test_samples_that_no_memory_holds_are_refused_before_any_is_drawn(subject, monkeypatch):
    """Fault D7: a step of a million tokens takes hours, and fails at its end."""
    monkeypatch.setattr(allocation, "_total", lambda _: 10**6)
    measured = subject("sampling.length=1000", "sampling.batch_size=4", "sampling.num_samples=8")

    with pytest.raises(InferenceError, match=r"sampling\.batch_size = 4 texts.* takes at least"):
        evaluate_samples(measured, None)


def test_as_much_is_asked_for_as_is_sampled_at_once(subject, monkeypatch):
    """Few texts in one batch, however many it might hold; of a block, where blocks are written."""
    seen = []
    monkeypatch.setattr(evaluate, "answer_bytes", lambda *words: seen.append(words) or 0)
    small, blocks = "sampling.num_samples=2", ("sampling.length=8", "sampling.block_size=4")
    for words in ((small,), (small, "sampling.batch_size=1", *blocks[:1]), (small, *blocks)):
        evaluate_samples(subject(*words), None)

    assert [(2, 16, 260), (1, 8, 260), (2, 4, 260)] == seen


@frozen
class Fixed(Metric):
    """One number, of no plugin that is installed."""

    of = "model"

    def measure(self, evidence):
        return {"fixed": Estimate(7.0)}


def test_an_override_is_resolved_where_the_run_was(made):
    """By the registry that was given, so by plugins that it alone has; samples are measured too."""
    registry = Registry.discover()
    offer = aios_core.hookimpl(lambda: {"fixed": Fixed})
    registry.add(SimpleNamespace(AIOS_API=1, __name__="fixed", aios_metrics=offer))
    words = ['metrics=[{type="fixed"}, {type="entropy"}]', "sampling.num_samples=2"]
    result = evaluate_run(made[0], overrides=words, registry=registry)

    assert {"fixed", "bits_per_weight"} == result["model"]["metrics"].keys()
    assert {"value": 7.0, "stderr": None, "unit": None, "better": None} == result["model"][
        "metrics"
    ]["fixed"]
    assert ({"entropy"}, 2) == (result["samples"]["metrics"].keys(), result["samples"]["samples"])


@pytest.mark.parametrize("batch_size", [2, 3, 100])
def test_network_calls_are_those_of_one_batch(subject, batch_size):
    """Section 5, experiment/sampling.py:64: the cost of a text, in however many batches."""
    measured = subject(f"sampling.batch_size={batch_size}", "sampling.num_samples=6")
    result = sample(measured.config, measured.model, measured.tokenizer, measured.held_out).samples

    assert 3 == result.nfe
    assert 6 == len(result.ids) == len(set(map(tuple, result.ids.tolist())))


def test_a_quantizer_is_calibrated_on_texts_that_it_is_not_measured_on(subject, made, monkeypatch):
    """On the training split, whatever is measured: the held-out one would flatter it."""
    seen = []

    def calibrate(model, texts, **how):
        seen.append((texts, how["seed"]))
        return real(model, texts, **how)

    real = quantize.calibrate
    monkeypatch.setattr(quantize, "calibrate", calibrate)
    measured = subject("quantizer.type=arrow", "quantizer.quality=calibrated", "seed=3")
    held_out = measured.tokenizer.decode(measured.held_out.ids[:-1])
    ((texts, seed),) = seen

    train_tokens = prepare(resolve(made[1])).train
    assert 3 == seed
    assert texts.ids.equal(train_tokens.batch(0, 3, 128).ids), "drawn by the seed"

    assert WORDS.endswith(held_out)
    special = {measured.tokenizer.vocabulary.bos_id, measured.tokenizer.vocabulary.eos_id}
    for row in texts.ids.tolist():
        assert measured.tokenizer.decode(
            [i for i in row if i not in special]
        ) in WORDS.removesuffix(held_out)


@pytest.mark.parametrize("sampler", ["ancestral", "remdm-cap", "confidence"])
def test_the_film_shows_how_the_first_text_came_about(subject, sampler):
    """Its frames, one after the other, make the text; what they show is what changed."""
    measured = subject(f"sampler.type={sampler}", "sampler.steps=40", "sampling.num_samples=2")
    states = []
    mask = measured.model.vocabulary.mask_id
    watched = DiffusionCore(measured.model, measured.config.sampler, measured.model.noise, mask)
    x = torch.full((2, 16), mask)
    x[:, 0] = measured.model.vocabulary.bos_id
    seeds = [row_seed(measured.config.seed, row) for row in range(2)]
    watched.sample(x, x != mask, seeds=seeds, callback=states.append)
    result = sample(measured.config, measured.model, measured.tokenizer, measured.held_out)
    film, shown = result.film, [None] * 15

    assert states[-1].ids.equal(result.samples.ids)
    assert [state.nfe for state in states[1:]] == film["nfe"]
    for frame, before, state in zip(film["frames"], states, states[1:], strict=False):
        ids = state.ids[0, 1:].tolist()
        changed = (before.ids[0, 1:] != state.ids[0, 1:]).nonzero()[:, 0].tolist()
        assert changed == [place for place, *_ in frame]
        for place, token, confidence in frame:
            shown[place] = token
            assert pytest.approx(float(state.confidence[0, 1 + place]), abs=5e-4) == confidence
        assert shown == [None if i == mask else measured.tokenizer.token(i) for i in ids]
    assert film["tokens"] == shown
    assert film["nfe"][-1] < len(film["nfe"]) == len(film["frames"]), "an answer serves two steps"


def test_a_reference_of_a_split_without_a_whole_window_is_all_of_it(subject):
    measured = subject("sampling.length=2000")
    result = _held_out_texts(measured)
    vocabulary, ids = measured.tokenizer.vocabulary, measured.held_out.ids

    filled = [vocabulary.bos_id, *ids.tolist(), *[vocabulary.eos_id] * (2000 - len(ids) - 1)]
    assert [filled] == result.ids.tolist()
    assert len(ids) == int(result.sequences.targets.sum())
    assert (measured.tokenizer.decode(ids[:-1]),) == result.texts
    few = subject("sampling.length=100", "sampling.num_samples=3")
    row = [vocabulary.bos_id, *ids.tolist()]
    last = (len(row) - 1) // 100
    expected = [row[100 * place : 100 * place + 100] for place in (0, round(last / 2), last)]
    expected[-1] += [vocabulary.eos_id] * (100 - len(expected[-1]))
    assert expected == _held_out_texts(few).ids.tolist()


def test_kept_texts_name_special_tokens(subject):
    """Six at most, each run of characters as it reads."""
    tokenizer = subject().tokenizer
    words = tokenizer.vocabulary
    row = [104, 105, words.eos_id, words.pad_id, 33, words.mask_id]
    names = [{"special": tokenizer.token(i)} for i in (words.eos_id, words.pad_id, words.mask_id)]

    def kept(row):
        ids = torch.tensor([row] * 8)
        every = torch.ones_like(ids, dtype=torch.bool)
        targets = ended(Sequences(ids, every), words.eos_id) if row[0] == words.bos_id else None
        texts = targets or Sequences(ids, every)
        return _readable(Sampled(Samples(texts, ("",) * 8, 1, 0.0, "float64"), {}), tokenizer)

    assert [["hi", names[0], names[1], "!", names[2]]] * 6 == kept(row)
    assert [["hi", names[0]]] * 6 == kept([words.bos_id, *row]), "up to its end"


def test_a_difference_of_settings_is_told_by_its_key():
    there, here = {"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 2, "d": 4}, "e": 5}

    assert ("b.d", 3, 4) == _difference("", there, here)
    assert ("e", None, 5) == _difference("", {**here, "e": None}, here)
    assert ("x.b", 1, {"c": 2}) == _difference("x", {"b": 1}, {"b": {"c": 2}})


def test_a_run_that_would_suppress_what_is_no_token_does_not_begin(made, tmp_path):
    _, values = made
    for tokens, problem in (
        ([300], "300 is not a token; expected 0 to "),
        ([*range(260)], "all 259 tokens"),
    ):
        resolved = resolve({**values, "sampling": {"suppress_tokens": tokens}})
        with pytest.raises(ConfigError, match=rf"^sampling\.suppress_tokens: {problem}"):
            ready(resolved, tmp_path / "new")


def test_a_folder_of_another_run_is_refused_before_data_is_read(made, tmp_path):
    """And data that is not what a lock file says, before anything is written."""
    folder, values = made
    with pytest.raises(TrainingError):
        ready(resolve({**values, "seed": 1}), folder)
    prepared = ready(resolve(values), folder)
    data = prepared.trained_on(resolve(values).config)

    assert prepared.held_out.ids.tolist() == prepare(resolve(values)).held_out.ids.tolist()
    assert data == ready(resolve(values), tmp_path / "new", data=data).trained_on(
        resolve(values).config
    )
    with pytest.raises(DataError, match=r"lock\.data: the texts, or the tokenizer"):
        ready(resolve(values), tmp_path / "new", data="0" * 64)
    assert not (tmp_path / "new").exists()


def test_an_evaluation_says_why_there_are_no_bits_a_byte(subject, capsys):
    whole = subject("evaluation.max_tokens=100")
    lost = attrs.evolve(whole, held_out=attrs.evolve(whole.held_out, exact=False))

    for measured, exact in ((whole, True), (lost, False)):
        values = evaluate_model(measured)
        print_evaluation({"model": values})
        shown = capsys.readouterr().out
        assert exact is values["exact"] is ("nelbo_bpb" in values["metrics"])
        assert exact is ("bits/byte" in shown) is ("no bits a byte: the tokenizer" not in shown)
