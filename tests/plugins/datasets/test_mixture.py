"""Several data sets by weights: what is drawn how often, and what is refused."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from aios_core.config import resolve
from aios_core.contracts import Dataset, Source, Vocabulary
from aios_core.errors import ConfigError, DataError
from aios_core.testing.contracts.dataset import DatasetContract
from aios_core.training import layout
from aios_core.training.corpus import Corpus
from aios_core.training.data import prepare
from aios_core.training.layout import Framing
from aios_core.training.token_rows import TokenRows
from aios_plugins.datasets.file import File
from aios_plugins.datasets.mixture import Mixture, _say_so

VOCABULARY = Vocabulary(size=14, mask_id=10, pad_id=11, bos_id=12, eos_id=13)


def file(folder, name, count, **more):
    path = folder / f"{name}.jsonl"
    rows = ({"text": f"{name} {n}", "q": f"{name} {n}", "a": "b"} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return File(path, **more)


@pytest.mark.parametrize("weights", [None, (2.0, 1.0)])
class TestMixture(DatasetContract):
    @pytest.fixture
    def instance(self, tmp_path, weights):
        pairs = file(tmp_path, "other", 20, prompt="q", answer="a")
        return Mixture((file(tmp_path, "own", 40), pairs), weights)


def of_sources(*groups):
    """Rows of some sources: the share and the number of rows of each."""
    numbers = np.repeat(np.arange(len(groups), dtype=np.int32), [count for _, count in groups])
    rows = TokenRows.of([np.array([n % 10], np.int32) for n in numbers], VOCABULARY)
    sources = tuple(Source(f"{n}", share) for n, (share, _) in enumerate(groups))
    return TokenRows(rows.ids, rows.ends, None, None, (), VOCABULARY, numbers, sources)


@pytest.mark.parametrize(
    "groups",
    [((0.5, 1000), (0.5, 10)), ((2 / 3, 7), (1 / 3, 900)), ((0.001, 50), (0.999, 50)), ((1.0, 9),)],
)
def test_each_source_has_its_share_and_each_of_its_rows_the_same(groups):
    """Within binomial bounds, for all rows and for each; in fact much nearer."""
    rows, framing = of_sources(*groups), Framing(8, fill=False)
    drawn = np.concatenate([layout.drawn(rows, framing, 3, number).row for number in range(20)])
    times = np.bincount(drawn, minlength=len(rows))

    for number, (share, count) in enumerate(groups):
        own = times[rows.source == number]
        expected = share * len(drawn)
        assert abs(own.sum() - expected) <= 20
        deviation = np.sqrt(expected / count * (1 - share / count))
        assert (abs(own - expected / count) <= 5 * deviation + 1).all()


def test_draws_follow_from_seed_and_pass():
    rows, framing = of_sources((0.7, 30), (0.3, 200)), Framing(8)

    def drawn(seed, number):
        return layout.drawn(rows, framing, seed, number).row.tolist()

    assert drawn(1, 2) == drawn(1, 2)
    assert drawn(1, 2) != drawn(1, 3)
    assert drawn(1, 2) != drawn(2, 2)


def test_a_single_source_is_drawn_as_rows_without_are():
    with_source = of_sources((1.0, 37))
    without = TokenRows(with_source.ids, with_source.ends, None, None, (), VOCABULARY)
    framing = Framing(8)

    assert (
        layout.drawn(with_source, framing, 5, 1).row.tolist()
        == layout.drawn(without, framing, 5, 1).row.tolist()
    )


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def values(folder, *, weights=(3.0, 1.0), **more):
    parts = [
        {"type": "file", "path": str(file(folder, "own", 40).path)},
        {"type": "file", "path": str(file(folder, "other", 20).path), "prompt": "q", "answer": "a"},
    ]
    mixture = {"type": "mixture", "parts": parts, **({"weights": [*weights]} if weights else {})}
    return {
        "dataset": mixture,
        "tokenizer": {"type": "bytes"},
        "diffusion": {"length": 32, **more},
    }


def test_a_configuration_trains_on_shares_and_measures_on_every_row(installed):
    """Held-out rows keep to their part, each once; the weights are part of the fingerprint."""
    prepared = prepare(resolve(values(installed)))
    train, held_out = prepared.train, prepared.held_out
    counts = Counter(
        np.asarray(train.rows.source)[layout.drawn(train.rows, train.framing, 0, 0).row]
    )

    assert [("parts[0]", 0.75), ("parts[1]", 0.25)] == [
        (source.name, source.share) for source in train.rows.sources
    ]
    assert counts[0] / counts.total() == pytest.approx(0.75, abs=1 / counts.total())
    assert (54, 6) == (len(train.rows), len(held_out.rows))
    texts = [held_out.row(n, prepared.tokenizer).joined("given", "target") for n in range(6)]
    assert [True] * 4 + [False] * 2 == [text.startswith("own") for text in texts]
    assert prepared.train.rows.has_given
    other = prepare(resolve(values(installed, weights=(1.0, 1.0))))
    assert prepared.fingerprint != other.fingerprint
    assert prepare(resolve(values(installed, weights=(6.0, 2.0)))).fingerprint == (
        prepared.fingerprint
    ), "the same shares are the same data"
    alike = prepare(resolve(values(installed, weights=None))).train
    assert alike.rows.source is None
    only = values(installed, packing="stream")
    only["dataset"] |= {"parts": only["dataset"]["parts"][:1], "weights": [1.0]}
    with pytest.raises(DataError, match="'stream' cuts texts anywhere, so that rows of a mixture"):
        prepare(resolve(only))


def test_a_mixture_is_read_again_if_a_part_changes(installed):
    resolved = resolve(values(installed))
    before = Corpus(resolved).contents
    file(installed, "other", 21)

    assert before != Corpus(resolved).contents


def test_mixtures_in_mixtures_multiply(tmp_path):
    first, two, three = (file(tmp_path, name, 12) for name in ("a", "b", "c"))
    inner = Mixture((two, three), (1.0, 3.0))
    shares = {
        row.source.name: row.source.share for row in Mixture((first, inner), (1, 1)).rows("train")
    }

    assert {"parts[0]": 0.5, "parts[1].parts[0]": 0.125, "parts[1].parts[1]": 0.375} == shares
    with pytest.raises(ValueError, match="one of the parts is a mixture by weights"):
        Mixture((first, inner))


def test_a_test_split_of_a_part(tmp_path):
    last = file(tmp_path, "last", 3)
    dataset = Mixture((file(tmp_path, "a", 12), file(tmp_path, "b", 12, test=last.path)))

    assert ("train", "validation", "test") == dataset.splits()
    assert ["last 0", "last 1", "last 2"] == list(dataset.texts("test"))
    assert 27 == len(list(dataset.parted()))


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_weight_that_is_none(tmp_path, weight):
    parts = file(tmp_path, "a", 12), file(tmp_path, "b", 12)
    with pytest.raises(ValueError, match=r"expected numbers above 0.* for parts\[1\]"):
        Mixture(parts, (1.0, weight))
    with pytest.raises(ConfigError, match=r"dataset\.weights"):
        resolve(values(tmp_path, weights=(1.0, weight)))


def test_parts_and_weights_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="expected one for each of 1 parts, got 2"):
        Mixture((file(tmp_path, "a", 12),), (1.0, 1.0))
    with pytest.raises(ValueError, match="parts"):
        Mixture(())


class Untrained(Dataset):
    """Held-out rows alone."""

    def rows(self, split):
        return iter(() if split == "train" else File.rows(self.own, split))


def test_a_part_without_rows_to_train_on(tmp_path):
    part = Untrained()
    part.own = file(tmp_path, "a", 12)
    with pytest.raises(DataError, match=r"dataset\.parts\[1\]: has no row to train on"):
        list(Mixture((file(tmp_path, "b", 12), part), (1.0, 1.0)).parted())


def test_parts_that_write_prompts_differently_say_so(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text("q,a\n1,2\n")
    same, other = (File(path, prompt=prompt, answer="a") for prompt in ("Q: {q} A: ", "{q}="))
    assert Mixture((same, same)).asked("1") == same.asked("1")
    assert not caplog.messages
    _say_so.cache_clear()
    for _ in range(2):
        assert Mixture((same, other)).asked("1") is None
    assert ["write prompts in different ways" in each for each in caplog.messages] == [True]
