"""Texts of which a model is unsure: how windows and readings are put together."""

import shutil

import attrs
import numpy as np
import pytest

from aios_core.errors import InferenceError, ModelLoadError
from aios_core.inference import ArrowEngine
from aios_core.registry import Registry
from aios_plugins._uncertainty.calibration import NAME, Calibration
from aios_plugins._uncertainty.estimators import DEFAULT, RATES, estimators, scores
from aios_plugins.commands.uncertainty import screening
from aios_plugins.commands.uncertainty.screening import score_texts

ESTIMATORS = estimators(Registry.discover())


def loaded(run):
    return ArrowEngine.load(run).models["diffusion"]


def test_windows_count_by_their_tokens_and_readings_give_an_error(folder, tmp_path, monkeypatch):
    """The score is the mean of readings; its noise their standard error, with n - 1."""
    shutil.copytree(folder / "run", tmp_path / "run")
    model, seen = loaded(tmp_path / "run"), []
    same = {name: (0.5,) * len(RATES) for name in ESTIMATORS}
    calibration = Calibration(
        training_key=model.state.training_key,
        texts=1,
        temperatures=(1.0,) * len(RATES),
        centre=same,
        scale=same,
        thresholds=dict.fromkeys(ESTIMATORS, -100.0) | {DEFAULT: 100.0},
    )
    calibration.save(tmp_path / "run" / NAME)

    def recorded(*words):
        seen.append(scores(*words))
        return seen[-1]

    monkeypatch.setattr(screening, "scores", recorded)
    text = "12 bottles of milk, and 7 more"
    (first,) = score_texts(model, [text], readings=3, seed=2)
    each = np.array([calibration.total(reading)[DEFAULT] for reading in seen])
    weighed = (each * [16, len(text) - 16]).sum(1) / len(text)

    assert ((3, 2), 2) == (each.shape, first.windows)
    assert pytest.approx(weighed.mean()) == first.score == first.estimators[DEFAULT]
    assert pytest.approx(np.std(weighed, ddof=1) / 3**0.5) == first.noise
    assert 3 == len(set(weighed)), "each reading has noise of its own"
    assert (100.0, False) == (first.threshold, first.triggered)
    (other,) = score_texts(model, [text], readings=2, estimator="entropy")
    assert (-100.0, True) == (other.threshold, other.triggered)
    assert other.score == other.estimators["entropy"]
    at_it = attrs.evolve(calibration, thresholds=dict.fromkeys(ESTIMATORS, first.score))
    at_it.save(tmp_path / "run" / NAME)
    assert not score_texts(model, [text], readings=3, seed=2)[0].triggered, (
        "more than the threshold"
    )


def test_readings_of_all_seeds_have_noise_of_their_own(folder, tmp_path, monkeypatch):
    """And are of the probabilities under the temperatures of the run."""
    shutil.copytree(folder / "run", tmp_path / "run")
    model, seeds, real = loaded(tmp_path / "run"), [], screening.read

    def recorded(*words, seed, **more):
        seeds.append(seed)
        return real(*words, seed=seed, **more)

    monkeypatch.setattr(screening, "read", recorded)
    results = []
    for temperature in (1.0, 3.0):
        Calibration(
            training_key=model.state.training_key,
            texts=1,
            temperatures=(temperature,) * len(RATES),
            centre={name: (0.0,) * len(RATES) for name in ESTIMATORS},
            scale={name: (1.0,) * len(RATES) for name in ESTIMATORS},
            thresholds=dict.fromkeys(ESTIMATORS, 0.0),
        ).save(tmp_path / "run" / NAME)
        seeds.clear()
        results += [score_texts(model, ["milk"], readings=2, seed=seed) for seed in range(3)][:1]

    assert 6 == len(set(seeds)) == len(seeds)
    (plain,), (warm,) = results
    assert 0 < plain.estimators["entropy"] < warm.estimators["entropy"]


def test_spans_are_of_each_text(calibrated, folder):
    """One token, some or all, counted from either end; texts beside it change nothing."""
    model, texts = (
        loaded(folder / "run"),
        ["12 bottles of mi", "34 b"],
    )
    whole = score_texts(model, texts)

    assert whole == score_texts(model, texts, span=slice(0, 16))
    for span in (slice(2, 3), slice(-1, None), slice(1, 4, 2)):
        few = score_texts(model, texts, span=span)
        assert all(0 < score.noise < 50 and score.score == score.score for score in few), few
        assert all(here.score != there.score for here, there in zip(whole, few, strict=True))
    (last,) = score_texts(model, [texts[0]], span=slice(-1, None))
    (same,) = score_texts(model, [texts[0]], span=slice(15, 16))
    assert last == same
    assert last.score == pytest.approx(score_texts(model, texts, span=slice(-1, None))[0].score)


@pytest.mark.parametrize("span", [slice(0, 0), slice(4, None), slice(3, 2), slice(-9, -5)])
def test_a_span_without_tokens_is_refused(calibrated, folder, span):
    """There is nothing to say of nothing."""
    model = loaded(folder / "run")
    with pytest.raises(InferenceError, match="text 1: expected a span of at least one of its 4 t"):
        score_texts(model, ["34 b"], span=span)


def test_what_cannot_be_scored_is_said(aios, calibrated, folder):
    model = loaded(folder / "run")
    with pytest.raises(InferenceError, match="at least 2 readings of each text, got 1"):
        score_texts(model, ["a"], readings=1)
    with pytest.raises(InferenceError, match="text 2: expected 1 to 16 tokens, got 0"):
        score_texts(model, ["a", ""])
    with pytest.raises(InferenceError, match="'guess' is unknown; expected one of"):
        score_texts(model, ["a"], estimator="guess")
    assert "got no text" in aios("score", folder / "run", code=2).stderr


def test_an_estimator_that_came_after_the_calibration_wants_another(calibrated, folder, tmp_path):
    """It has no threshold; the others score as before."""
    shutil.copytree(folder / "run", tmp_path / "run")
    whole = Calibration.load(tmp_path / "run" / NAME)
    tables = {
        table: {name: each for name, each in getattr(whole, table).items() if name != "flips"}
        for table in ("centre", "scale", "thresholds")
    }
    attrs.evolve(whole, **tables).save(tmp_path / "run" / NAME)
    model = loaded(tmp_path / "run")
    (first,) = score_texts(model, ["milk"])

    assert {*ESTIMATORS} - {"flips"} == set(first.estimators)
    with pytest.raises(ModelLoadError, match="says nothing of the estimator 'flips'; expected"):
        score_texts(model, ["milk"], estimator="flips")
