"""Uncertainty: estimators, readings, calibration, and the two commands."""

import json
import math
from itertools import pairwise
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.config import resolve
from aios_core.contracts import Vocabulary, store_schema
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nelbo
from aios_core.diffusion.times import draw_times
from aios_core.diffusion.uncertainty import ESTIMATORS, RATES, Level, read
from aios_core.errors import InferenceError, ModelLoadError
from aios_core.experiment.uncertainty import (
    Part,
    Tokens,
    _part,
    halves,
    helpful,
    rank_correlation,
    risk_coverage,
    summary,
)
from aios_core.inference import ArrowEngine
from aios_core.inference.calibration import NAME, Calibration, Temperatures, scores
from aios_core.inference.doubt import doubts
from aios_core.memory import Place, open_store
from aios_core.testing.modules import stir
from aios_core.training.trainer import train
from aios_plugins.backbones.transformer import Transformer
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.datasets.memories import Memories
from aios_plugins.heads.text import Text
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear


def level(probabilities, tokens, before=None, rate=0.5):
    probs = torch.tensor(probabilities)
    hidden = torch.tensor([[True] * len(tokens)])
    said = None if before is None else torch.tensor(before)
    return Level(rate, hidden, torch.tensor(tokens), probs.log(), said)


def test_equal_texts_are_read_alike_wherever_they_stand(model):
    """In any row of any batch, padded or not."""
    ids = torch.tensor([[97, 98, 99, 100, 0, 0], [101] * 6, [97, 98, 99, 100, 0, 0]])
    valid = torch.tensor([[True] * 4 + [False] * 2, [True] * 6, [True] * 4 + [False] * 2])
    together = list(read(model, ids, valid, seed=3))
    alone = list(read(model, ids[:1, :4], valid[:1, :4], seed=3))

    for one, level in zip(alone, together, strict=True):
        assert torch.equal(level.hidden[0], level.hidden[2])
        assert torch.equal(one.hidden[0], level.hidden[0, :4])


def test_what_calibrates_and_what_measures_are_spread_and_apart():
    first, second = halves(torch.arange(101), 5)

    assert [0, 12, 24, 37, 49] == first.tolist()
    assert [51, 63, 75, 88, 100] == second.tolist()
    assert ([0, 1], [3, 4]) == tuple(one.tolist() for one in halves(torch.arange(5), 9))
    assert ([], []) == tuple(one.tolist() for one in halves(torch.arange(1), 9))


def test_estimators_by_hand():
    one = level([[0.5, 0.5, 0.0], [0.7, 0.2, 0.1]], [0, 2], before=[0, 1])
    measured = {name: estimator.measure(one).tolist() for name, estimator in ESTIMATORS.items()}

    bits = [math.log(2), -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))]
    assert pytest.approx(bits, abs=1e-6) == measured["entropy"]
    assert pytest.approx([1, 0.5], abs=1e-6) == measured["margin"]
    assert pytest.approx([1, 1.8], abs=1e-6) == measured["residual"]
    assert [0, 1] == measured["flips"]
    first = attrs.evolve(one, before=None)
    assert [0, 0] == ESTIMATORS["flips"].measure(first).tolist()


def test_means_are_of_what_counts_row_by_row():
    hidden = torch.tensor([[True, False, True], [False, True, False]])
    one = Level(0.5, hidden, torch.zeros(3, dtype=torch.int64), torch.zeros(3, 2), None)
    values = torch.tensor([1.0, 3.0, 5.0])

    assert [2, 5] == one.mean(values).tolist()
    counted = torch.tensor([[False, True, True], [True, True, True]])
    assert [3, 5] == one.mean(values, counted).tolist()


def values(corpus):
    return {
        "dataset": {"type": "file", "path": str(corpus)},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
        "diffusion": {"length": 16},
        "training": {"steps": 60, "batch_size": 16, "warmup_steps": 5},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with enough held-out text to calibrate."""
    folder = tmp_path_factory.mktemp("uncertainty")
    (folder / "corpus.txt").write_text(
        "".join(f"{n} bottles of milk, {n} bottles. " for n in range(700))
    )
    (folder / "other.txt").write_text("ZWEI&VIER|ACHT?" * 80)
    patch = pytest.MonkeyPatch()
    patch.setenv("AIOS_CACHE", str(folder / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(resolve(values(folder / "corpus.txt")), folder / "run", progress=False)
    yield folder
    torch.set_num_threads(threads)
    patch.undo()


@pytest.fixture(scope="module")
def model(folder):
    return ArrowEngine.load(folder / "run").models["diffusion"].model


def test_what_is_hidden_less_is_hidden_more(model):
    ids = torch.randint(97, 120, (4, 16))
    levels = list(read(model, ids, torch.ones_like(ids, dtype=torch.bool)))

    assert list(RATES) == [one.rate for one in levels]
    for more, less in pairwise(levels):
        assert not (less.hidden & ~more.hidden).any()
    for one in levels:
        assert one.hidden.any(-1).all()
        assert torch.equal(ids[one.hidden], one.tokens)
        assert torch.isinf(one.log_probs[:, model.vocabulary.mask_id]).all()


def test_a_row_is_read_alone_as_in_a_batch_and_padding_is_nothing(model):
    ids = torch.randint(97, 120, (3, 16))
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[0, 9:] = False
    together = scores(read(model, ids, valid, seed=4))
    alone = scores(read(model, ids[:1], valid[:1], seed=4))

    for name in ESTIMATORS:
        assert np.allclose(together[name][0], alone[name][0], atol=1e-5), name
    changed = torch.where(valid, ids, 5)
    again = scores(read(model, changed, valid, seed=4))
    assert all(np.allclose(together[name], again[name], atol=1e-5) for name in ESTIMATORS)


@pytest.mark.parametrize("noise", [LogLinear(), Cosine()], ids=["loglinear", "cosine"])
def test_a_network_hears_the_time_of_as_many_masks_as_it_sees(noise):
    """Under every schedule: of each reading, and so of what is said at it."""
    backbone = Transformer(dim=8, layers=1, heads=2, time_conditioned=True)
    vocabulary = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)
    timed = stir(Model(Text(), backbone, noise, Absorbing(), vocabulary, length=400).eval())
    told = []
    timed.backbone.register_forward_pre_hook(lambda _, given: told.append(given[1]))
    ids = torch.randint(0, 3, (4, 400), generator=torch.Generator().manual_seed(0))
    for one in read(timed, ids, torch.ones_like(ids, dtype=torch.bool)):
        x = torch.where(one.hidden, vocabulary.mask_id, ids)
        share = timed.noise.mask_rate(told[-1].double())

        torch.testing.assert_close(one.hidden.double().mean(1), share, atol=0.1, rtol=0)
        expected = timed.log_probs(timed.states(x, told[-1]))[one.hidden]
        torch.testing.assert_close(expected, one.log_probs)


def test_temperatures_find_what_was_sharpened():
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(4000, 8, generator=generator).log_softmax(-1)
    tokens = torch.multinomial(honest.exp(), 1, generator=generator)[:, 0]
    fit = Temperatures()
    for rate, factor in zip(RATES, (1, 2, 0.5, 1.5, 1), strict=True):
        sharp = (honest * factor).log_softmax(-1)
        fit.add(Level(rate, torch.ones(1, 4000, dtype=torch.bool), tokens, sharp, None))

    assert pytest.approx((1, 2, 0.5, 1.5, 1), rel=0.05) == fit.fitted()


def test_something_is_said_of_what_counts_at_every_level(model):
    """However few tokens of a row do, where they stand, and beside padding."""
    ids = torch.randint(97, 120, (16, 16), generator=torch.Generator().manual_seed(1))
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[::2, 9:] = False
    counted = torch.nn.functional.one_hot(torch.arange(16) % 9, 16).bool()
    levels = list(read(model, ids, valid, counted=counted))

    for one in levels:
        assert one.hidden[counted].all()
        assert not (one.hidden & ~valid).any()
        there = one.hidden.nonzero()[:, 1] == one.hidden.nonzero()[:, 0] % 9
        assert torch.equal(-one.said[there].double(), one.mean(-one.said, counted))
    for more, less in pairwise(levels):
        assert not (less.hidden & ~more.hidden).any()


def test_a_bin_that_is_as_sure_as_right_has_no_error():
    sure = np.repeat([0.25, 0.75], 100)
    right = np.tile(np.arange(100) < 25, 2)
    right[100:] = np.arange(100) < 75

    assert pytest.approx(0, abs=1e-12) == Tokens(0.5, sure, right, 1).ece
    assert pytest.approx(0.5) == Tokens(0.5, np.ones(100), np.arange(100) < 50, 1).ece


def test_risk_of_the_best_order_is_the_least():
    right = np.array([True, False, True, False])
    best = risk_coverage(np.array([0.9, 0.1, 0.8, 0.2]), right)
    worst = risk_coverage(np.array([0.1, 0.9, 0.2, 0.8]), right)

    assert best["aurc_best"] == best["aurc"] == worst["aurc_best"] < worst["aurc"]
    assert [0, 0, pytest.approx(1 / 3), 0.5] == best["risk"]
    assert [0.25, 0.5, 0.75, 1] == best["coverage"]


def aios(*arguments, code=0):
    result = CliRunner().invoke(cli, ["uncertainty", *map(str, arguments)])
    assert code == result.exit_code, result.output
    return result


@pytest.fixture(scope="module")
def found(folder):
    arguments = ("calibrate", folder / "run", "--against", folder / "other.txt", "--windows", "60")
    return json.loads(aios(*arguments, "--json").stdout)


def test_other_texts_are_told_apart(found):
    entropy = found["estimators"]["entropy"]

    assert {"calibration": 60, "own": 60, "others": 60} == found["texts"]
    assert entropy["triggers_on_others"] > 0.9
    assert entropy["false_triggers"] < 0.3
    assert entropy["rank_correlation"] > 0.5


def test_what_measures_is_not_what_was_learned_from(folder, tmp_path, monkeypatch):
    """Where the second half of the held-out texts is of another kind, nearly all of it triggers."""
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    text = (folder / "corpus.txt").read_text()
    other = len(text) // 20  # half of the last tenth, which is held out
    (tmp_path / "corpus.txt").write_text(text[:-other] + ("ZWEI&VIER|ACHT?" * other)[:other])
    train(resolve(values(tmp_path / "corpus.txt")), tmp_path / "run", progress=False)
    found = json.loads(aios("calibrate", tmp_path / "run", "--windows", "40", "--json").stdout)

    for name in ("entropy", "residual"):
        assert found["estimators"][name]["false_triggers"] > 0.9, name


def test_temperatures_make_other_texts_likelier(found):
    before, after = (
        sum(one[f"nats_{when}"] for one in found["levels"]) for when in ("before", "after")
    )

    assert after < before


def test_a_temperature_that_harms_is_not_kept():
    """It is 1 where other texts become less likely by it, and stays elsewhere."""
    none = np.zeros(1)

    def tokens(*nats):
        return tuple(Tokens(rate, none, none > 0, n) for rate, n in zip(RATES, nats, strict=False))

    measured = Part({}, none, none, plain=tokens(2.0, 2.0, 2.0), tempered=tokens(1.9, 2.0, 2.1))
    assert (0.8, 0.9, 1.0) == helpful((0.8, 0.9, 1.1), measured)


def test_no_temperature_harms_the_texts_that_measure(found, folder):
    """Nor is another in the file that `score` reads than in what is shown."""
    kept = Calibration.load(folder / "run" / NAME).temperatures

    assert all(one["nats_after"] <= one["nats_before"] + 1e-9 for one in found["levels"])
    assert [one["temperature"] for one in found["levels"]] == list(kept)
    assert all(one["temperature"] in {1.0, one["temperature_fitted"]} for one in found["levels"])


def test_the_report_needs_nothing_else(found, folder):
    page = (folder / "run" / "uncertainty.html").read_text()

    assert 4 == page.count("<svg")
    assert "http" not in page.replace("http://www.w3.org", "")


def test_scores_of_texts(found, folder):
    rows = json.loads(
        aios("score", folder / "run", "--text", "12 bottles of mi", "--text", "ZWEI&VIER|ACHT?Z",
             "--json").stdout
    )  # fmt: skip

    assert [False, True] == [one["triggered"] for one in rows]
    assert rows[0]["score"] < rows[0]["threshold"] < rows[1]["score"]
    assert set(ESTIMATORS) == set(rows[0]["estimators"])
    assert all(0 < row["noise"] < 5 and 1 == row["windows"] for row in rows)


def test_files_of_long_texts_are_scored_by_windows(found, folder, tmp_path):
    """Fault E3: several files, JSON lines among them; each row says where its text stands."""
    long = "".join(f"{n} bottles of milk, {n} bottles. " for n in range(40))
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in (long, "milk")))
    words = ("score", folder / "run", tmp_path / "a.jsonl", folder / "other.txt")
    rows = json.loads(aios(*words, "--json").stdout)
    places = [f"{tmp_path}/a.jsonl:1", f"{tmp_path}/a.jsonl:2", f"{folder}/other.txt:1"]

    assert places == [row["where"] for row in rows]
    assert [-(-len(long) // 16), 1, 75] == [row["windows"] for row in rows]
    assert not rows[0]["triggered"]
    assert rows[2]["triggered"]
    assert rows[0]["noise"] < rows[1]["noise"], "more tokens are surer"
    assert "a.jsonl:2" in aios(*words).stdout
    (tmp_path / "a.jsonl").write_text('{"text": "milk"}\n\nmilk\n')
    assert "a.jsonl:3: expected an object" in aios(*words, code=2).stderr


def test_what_triggers_is_kept_once_as_evidence(found, folder, tmp_path):
    words = ("score", folder / "run", "--text", "12 bottles of mi", "--text", "ZWEI&VIER|ACHT?Z")
    place = f"numpy:{tmp_path / 'doubts'}"
    for _ in range(2):
        assert "1 of 2" in aios(*words, "--keep", place).stderr
    evidence = Memories(place, "kind = 'doubt' AND score > 0")

    assert ["ZWEI&VIER|ACHT?Z"] == list(evidence.documents())
    assert "0 of 1" in aios(*words[:4], "--keep", tmp_path / "none").stderr
    assert not (tmp_path / "none").exists()


def test_what_is_kept_goes_where_its_vectors_belong(found, folder, tmp_path):
    """Fault V19 and Fault N6: not among vectors of an unknown maker, nor to no plugin."""
    words = ("score", folder / "run", "--text", "ZWEI&VIER|ACHT?Z", "--keep")
    own = Place.of(str(tmp_path / "own"))
    open_store(own, schema=store_schema(384, {"kind": "string", "score": "float64"})).close()

    assert "does not say which embedding" in aios(*words, own.uri, code=2).stderr
    assert "is called 'sqlite'" in aios(*words, "sqlite:oops", code=2).stderr


def test_spans_are_of_each_text(found, folder):
    """One token, some or all, counted from either end; texts beside it change nothing."""
    engine, texts = ArrowEngine.load(folder / "run"), ["12 bottles of mi", "34 b"]
    whole = doubts(engine, texts)

    assert whole == doubts(engine, texts, span=slice(0, 16))
    for span in (slice(2, 3), slice(-1, None), slice(1, 4, 2)):
        few = doubts(engine, texts, span=span)
        assert all(0 < one.noise < 50 and one.score == one.score for one in few), few
        assert all(here.score != there.score for here, there in zip(whole, few, strict=True))
    (last,) = doubts(engine, [texts[0]], span=slice(-1, None))
    (same,) = doubts(engine, [texts[0]], span=slice(15, 16))
    assert last == same
    assert last.score == pytest.approx(doubts(engine, texts, span=slice(-1, None))[0].score)


@pytest.mark.parametrize("span", [slice(0, 0), slice(4, None), slice(3, 2), slice(-9, -5)])
def test_a_span_without_tokens_is_refused(found, folder, span):
    """There is nothing to say of nothing."""
    engine = ArrowEngine.load(folder / "run")
    with pytest.raises(InferenceError, match="text 1: expected a span of at least one of its 4 t"):
        doubts(engine, ["34 b"], span=span)


def test_what_cannot_be_scored_is_said(found, folder):
    engine = ArrowEngine.load(folder / "run")
    with pytest.raises(InferenceError, match="at least 2 readings of each text, got 1"):
        doubts(engine, ["a"], readings=1)
    with pytest.raises(InferenceError, match="text 2: expected 1 to 16 tokens, got 0"):
        doubts(engine, ["a", ""])
    with pytest.raises(InferenceError, match="'guess' is unknown; expected one of"):
        doubts(engine, ["a"], estimator="guess")
    assert "there is no text" in aios("score", folder / "run", code=2).stderr


def test_a_calibration_belongs_to_one_training(found, folder, tmp_path):
    calibration = Calibration.load(folder / "run" / NAME)
    calibration.save(tmp_path / NAME)
    assert calibration == Calibration.load(tmp_path / NAME)

    with pytest.raises(ModelLoadError, match="expected `aios uncertainty calibrate"):
        Calibration.load(tmp_path / "missing" / NAME)
    (tmp_path / NAME).write_text('{"texts": 3}')
    with pytest.raises(ModelLoadError, match="is damaged"):
        Calibration.load(tmp_path / NAME)


def test_too_little_text_is_said(folder):
    told = aios("calibrate", folder / "run", "--windows", "5", code=2).stderr

    assert "10 held-out texts of 16 tokens are too few; expected at least 66, of" in told


def test_ranks_that_agree_and_those_that_do_not():
    rising, uneven = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 20.0, 21.0, 500.0])

    assert pytest.approx(1.0) == rank_correlation(rising, uneven)
    assert pytest.approx(-1.0) == rank_correlation(rising, -uneven)
    assert pytest.approx(0.8) == rank_correlation(rising, uneven[[0, 2, 1, 3]])
    assert rank_correlation(rising, np.ones(4)) is None
    assert rank_correlation(np.ones(4), rising) is None


def measured_part(total, error, wrong=0.5):
    """Of as many texts, each estimator the same at all levels, one token a text and level."""
    values = np.repeat(np.array(total)[:, None], len(RATES), 1)
    tokens = tuple(
        Tokens(rate, np.array([0.9, 0.6]), np.array([True, False]), 2.0 + rate) for rate in RATES
    )
    tempered = tuple(attrs.evolve(one, nats=one.nats - 1) for one in tokens)
    found = dict.fromkeys(ESTIMATORS, values)
    return Part(found, np.array(error), np.array([wrong] * len(error)), tokens, tempered)


def test_a_summary_counts_what_is_above_the_threshold():
    """Four of our texts, one of them above, and two others, both above: by hand."""
    levels = len(RATES)
    calibration = Calibration(
        training_key="key",
        texts=7,
        temperatures=(1.5,) * levels,
        centre=dict.fromkeys(ESTIMATORS, (1.0,) * levels),
        scale=dict.fromkeys(ESTIMATORS, (2.0,) * levels),
        thresholds=dict.fromkeys(ESTIMATORS, 1.0),
    )
    own = measured_part([1.0, 2.0, 3.0, 5.0], [0.1, 0.3, 0.2, 0.4], wrong=0.25)
    other = measured_part([6.0, 7.0], [0.6, 0.5], wrong=1.0)
    found = summary(calibration, own, other, (1.25,) * levels)
    one = found["estimators"]["entropy"]

    assert {"calibration": 7, "own": 4, "others": 2} == found["texts"]
    assert [0.0, 0.5, 1.0, 2.0] == one["own"], "standard deviations above the usual"
    assert [2.5, 3.0] == one["others"]
    assert (0.25, 1.0) == (one["false_triggers"], one["triggers_on_others"]), "1.0 is not above 1"
    assert pytest.approx(0.8) == one["rank_correlation_own"]
    assert pytest.approx(1 - 6 * 4 / (6 * 35)) == one["rank_correlation"]
    assert 0.25 == found["wrong"]
    first = found["levels"][0]
    assert (RATES[0], 1.5, 1.25) == tuple(
        first[name] for name in ("rate", "temperature", "temperature_fitted")
    )
    assert (2.9, 1.9) == (first["nats_before"], pytest.approx(first["nats_after"]))
    assert pytest.approx((0.1 + 0.6) / 2) == first["ece_before"]
    alone = summary(calibration, own, None, (1.25,) * levels)["estimators"]["entropy"]
    assert (None, None, []) == tuple(
        alone[name] for name in ("triggers_on_others", "rank_correlation", "others")
    )


def test_confidence_falls_into_ten_bins():
    """Of 0.1 each, the last with 1; a bin with nothing is left out."""
    sure = np.array([0.0, 0.05, 0.1, 0.95, 1.0])
    found = Tokens(0.5, sure, np.array([False, True, True, True, False]), 1).bins

    assert [(0.025, 0.5, 2), (0.1, 1.0, 1), (pytest.approx(0.975), 0.5, 2)] == found


def test_what_is_measured_of_texts_is_of_each_of_them(model):
    """The share that is wrong, and the bound a token; more than fit into one batch."""
    ids = torch.randint(97, 120, (40, 16), generator=torch.Generator().manual_seed(0))
    valid, told = torch.ones_like(ids, dtype=torch.bool), []
    found = _part(SimpleNamespace(model=model), ids, (2.0,) * len(RATES), 3, told.append)
    misses = [
        torch.cat([
            level.mean(level.log_probs.argmax(-1) != level.tokens) for level in batch
        ]).view(len(RATES), -1).mean(0)
        for batch in (
            list(read(model, ids[:32], valid[:32], seed=3 * 100_003)),
            list(read(model, ids[32:], valid[32:], seed=3 * 100_003 + 1)),
        )
    ]  # fmt: skip

    assert [32, 8] == told
    np.testing.assert_allclose(torch.cat(misses).numpy(), found.wrong)
    assert (40,) == found.error.shape
    assert len(RATES) == len(found.plain) == len(found.tempered)
    for plain, tempered in zip(found.plain, found.tempered, strict=True):
        assert np.array_equal(plain.right, tempered.right)
        assert tempered.confidence.mean() < plain.confidence.mean(), "twice as hot is less sure"
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        times = draw_times(400, generator)
        nats = nelbo(model, ids.repeat(10, 1), valid.repeat(10, 1), times, generator) / 16
    assert pytest.approx(float(nats.mean()), rel=0.1) == found.error.mean()
