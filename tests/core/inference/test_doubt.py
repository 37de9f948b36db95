"""Texts of which a model is unsure: how windows and readings are put together."""

import shutil

import attrs
import numpy as np
import pytest

from aios_core.diffusion.uncertainty import DEFAULT, ESTIMATORS, RATES
from aios_core.inference import ArrowEngine, doubt
from aios_core.inference.calibration import NAME, Calibration, scores
from aios_core.inference.doubt import doubts


def test_windows_count_by_their_tokens_and_readings_give_an_error(run, tmp_path, monkeypatch):
    """The score is the mean of readings; its noise their standard error, with n - 1."""
    shutil.copytree(run, tmp_path / "run")
    engine, seen = ArrowEngine.load(tmp_path / "run"), []
    same = {name: (0.5,) * len(RATES) for name in ESTIMATORS}
    calibration = Calibration(
        training_key=engine.models["diffusion"].state.training_key,
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

    monkeypatch.setattr(doubt, "scores", recorded)
    text = "12 bottles of milk, and 7 more"
    (one,) = doubts(engine, [text], readings=3, seed=2)
    each = np.array([calibration.total(reading)[DEFAULT] for reading in seen])
    weighed = (each * [24, len(text) - 24]).sum(1) / len(text)

    assert ((3, 2), 2) == (each.shape, one.windows)
    assert pytest.approx(weighed.mean()) == one.score == one.estimators[DEFAULT]
    assert pytest.approx(np.std(weighed, ddof=1) / 3**0.5) == one.noise
    assert 3 == len(set(weighed)), "each reading has noise of its own"
    assert (100.0, False) == (one.threshold, one.triggered)
    (other,) = doubts(engine, [text], readings=2, estimator="entropy")
    assert (-100.0, True) == (other.threshold, other.triggered)
    assert other.score == other.estimators["entropy"]
    at_it = attrs.evolve(calibration, thresholds=dict.fromkeys(ESTIMATORS, one.score))
    at_it.save(tmp_path / "run" / NAME)
    assert not doubts(engine, [text], readings=3, seed=2)[0].triggered, "more than the threshold"


def test_readings_of_all_seeds_have_noise_of_their_own(run, tmp_path, monkeypatch):
    """And are of the probabilities under the temperatures of the run."""
    shutil.copytree(run, tmp_path / "run")
    engine, seeds, real = ArrowEngine.load(tmp_path / "run"), [], doubt.read

    def recorded(*words, seed, **more):
        seeds.append(seed)
        return real(*words, seed=seed, **more)

    monkeypatch.setattr(doubt, "read", recorded)
    found = []
    for temperature in (1.0, 3.0):
        Calibration(
            training_key=engine.models["diffusion"].state.training_key,
            texts=1,
            temperatures=(temperature,) * len(RATES),
            centre={name: (0.0,) * len(RATES) for name in ESTIMATORS},
            scale={name: (1.0,) * len(RATES) for name in ESTIMATORS},
            thresholds=dict.fromkeys(ESTIMATORS, 0.0),
        ).save(tmp_path / "run" / NAME)
        seeds.clear()
        found += [doubts(engine, ["milk"], readings=2, seed=seed) for seed in range(3)][:1]

    assert 6 == len(set(seeds)) == len(seeds)
    (plain,), (warm,) = found
    assert 0 < plain.estimators["entropy"] < warm.estimators["entropy"]
