"""Films: what a report shows of how samples came about."""

from types import SimpleNamespace

import pytest
import torch

from aios_core.config import load, resolve
from aios_core.contracts import Sequences
from aios_core.experiment.evaluate import Subject, evaluate_run, evaluate_samples
from aios_core.experiment.film import GRIDS, Film
from aios_core.training.trainer import train

GRID = "sudoku"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grids")
    values = {
        "dataset": {"type": GRID, "held_out": 20},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 16, "layers": 1, "heads": 2},
        "diffusion": {"length": 18},
        "training": {"steps": 2, "batch_size": 4, "warmup_steps": 1},
        "sampling": {"num_samples": 8},
        "sampler": {"type": "confidence", "steps": 4},
        "evaluation": {"twin": False, "draws": 1},
        "metrics": [{"type": "checked", "checker": {"type": GRID}}],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        train(resolve(values), folder / "run", progress=False)
        yield folder / "run"


def replayed(film):
    """The tokens that a row has after all frames."""
    shown = {place: film["tokens"][place] for place in film["given"]}
    for frame in film["frames"]:
        shown.update({place: token for place, token, _ in frame})
    return [shown[place] for place in range(len(film["tokens"]))]


def test_grids_are_filmed_beside_what_is_expected(folder):
    subject = Subject.load(folder, load(folder / "run.lock.toml"))
    film = evaluate_samples(subject, None)["film"]
    rows = list(subject.config.dataset.rows("validation"))
    chosen = [rows[round(i * 19 / 7)] for i in range(GRIDS)]

    assert 4 == film["columns"]
    assert GRIDS == 1 + len(film["beside"])
    for row, film_of in zip(chosen, (film, *film["beside"]), strict=True):
        grid = row.joined("given", "target")
        assert 16 == film_of["cells"]
        assert grid == "".join(film_of["expected"][:16])
        assert replayed(film_of) == film_of["tokens"]
        assert row.joined("given") == "".join(grid[place] for place in film_of["given"])
        assert len(film["nfe"]) == len(film_of["frames"])


def test_other_rows_of_the_data_set_are_measured(folder):
    """Puzzles with all cells but one given, by a network whose own have five."""
    overrides = ("dataset.clues=0.94", "sampling.num_samples=20")
    result = evaluate_run(folder, overrides=overrides, other=True)

    assert "rows with dataset.clues=0.94" == result["model"]["texts"]
    assert 15 == len(result["samples"]["film"]["given"])
    assert 20 == result["samples"]["samples"]


def test_a_film_of_texts_is_of_one():
    vocabulary = SimpleNamespace(bos_id=0, eos_id=1, mask_id=9)
    tokenizer = SimpleNamespace(vocabulary=vocabulary, token=str)
    ids = torch.tensor([[0, 5, 6], [0, 7, 8]])
    targets = torch.tensor([[False, True, True]] * 2)
    film = Film(tokenizer, Sequences(ids, torch.ones_like(targets), targets))
    confidence = torch.full((2, 3), 0.25)
    for step, state in enumerate(([0, 9, 9], [0, 9, 4], [0, 3, 4])):
        film.record(SimpleNamespace(ids=torch.tensor([state] * 2), confidence=confidence, nfe=step))

    assert {
        "given": [],
        "tokens": ["3", "4"],
        "frames": [[[1, "4", 0.25]], [[0, "3", 0.25]]],
        "nfe": [1, 2],
    } == film.finish()
