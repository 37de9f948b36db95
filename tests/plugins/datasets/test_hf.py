"""Folders that the library `datasets` wrote, and names at the hub, which no test reaches."""

from __future__ import annotations

import json
import os
import sys

import pytest

from aios_core.config import resolve
from aios_core.contracts import Row, Segment
from aios_core.errors import ConfigError, DataError, MissingExtraError
from aios_core.testing.contracts.dataset import DatasetContract
from aios_core.training.spool import Spool
from aios_plugins.datasets.file import File
from aios_plugins.datasets.hf import HuggingFace

datasets = pytest.importorskip("datasets")

ROWS = [
    {"text": f"text {n}", "q": n, "a": str(n + 1), "m": [{"role": "user", "content": f"{n}?"},
     {"role": "assistant", "content": "yes"}]}
    for n in range(20)
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def folder(tmp_path):
    """One split."""
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def several(tmp_path):
    """Three splits."""
    every = datasets.Dataset.from_list(ROWS)
    parts = {"train": range(12), "dev": range(12, 16), "held": range(16, 20)}
    splits = {name: every.select(rows) for name, rows in parts.items()}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "several")
    return tmp_path / "several"


class TestHuggingFace(DatasetContract):
    @pytest.fixture
    def instance(self, folder):
        return HuggingFace(path=folder)


def test_rows_are_those_of_a_file_and_so_are_their_digests(folder, tmp_path):
    """In whatever shape; what a result key covers are the rows, and not where they are from."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for shape in ({}, {"prompt": "Q: {q}", "answer": "a"}, {"messages": "m"}):
        own, other = HuggingFace(path=folder, **shape), File(path, **shape)
        for split in ("train", "validation"):
            assert list(other.rows(split)) == list(own.rows(split))
        assert Spool(other, "a").contents == Spool(own, "b").contents
    expected = Row((Segment("prompt", "3", "given"), Segment("answer", "4")))
    pairs = HuggingFace(path=folder, prompt="q", answer="a")
    assert expected in list(pairs.all_rows())


def test_splits_of_its_own(several):
    dataset = HuggingFace(path=several, validation="dev", test="held")
    expected = {"train": range(12), "validation": range(12, 16), "test": range(16, 20)}

    assert tuple(expected) == dataset.splits()
    for split, numbers in expected.items():
        assert [f"text {n}" for n in numbers] == list(dataset.texts(split))
    assert 20 == len(list(dataset.parted()))
    assert all(path.suffix in (".arrow", ".json") for path in dataset.files())
    divided = HuggingFace(path=several, test="held")
    assert [11, 1, 4] == [len(list(divided.rows(split))) for split in expected]


def test_columns_in_another_format_are_plain(tmp_path):
    numbers = datasets.Dataset.from_list(ROWS).with_format("numpy")
    numbers.save_to_disk(tmp_path / "numpy")
    dataset = HuggingFace(path=tmp_path / "numpy", prompt="q", answer="a")

    assert {"0", "19"} <= {row.joined("given") for row in dataset.all_rows()}


def test_what_is_not_there_is_named(folder, several, tmp_path):
    for own, message in (
        ({"path": folder, "key": "story"}, r"own\[train\]: no column 'story'; expected one of te"),
        ({"path": several, "split": "all"}, r"several\[all\]: no such split; .*train, dev, held"),
        ({"path": folder, "key": "m"}, r"own\[train\]: row 1: 'm' is list; expected text"),
        ({"path": tmp_path}, "holds no data set; expected a folder that save_to_disk"),
        ({"path": tmp_path / "no"}, "no such folder"),
    ):
        with pytest.raises(DataError, match=message):
            list(HuggingFace(**own).rows("train"))


def test_a_folder_that_changes_while_it_is_read(folder):
    rows = HuggingFace(path=folder, validation="dev").rows("train")
    next(rows)
    os.utime(folder / "state.json", (1, 1))
    with pytest.raises(DataError, match=r"own\[train\]: was changed while it was being read"):
        list(rows)


@pytest.mark.parametrize("name", ["../other.arrow", "/etc/passwd", "..", 3, None])
def test_no_path_leaves_the_folder(folder, several, name):
    for place, key, state in (
        (folder / "state.json", "_data_files", [{"filename": name}]),
        (several / "dataset_dict.json", "splits", [name]),
    ):
        place.write_text(json.dumps(json.loads(place.read_text()) | {key: state}))
        with pytest.raises(DataError, match="which is no file or folder in it"):
            list(HuggingFace(path=place.parent).rows("train"))


def test_damaged_files_are_named(folder):
    (arrow,) = folder.glob("*.arrow")
    os.truncate(arrow, arrow.stat().st_size // 2)
    with pytest.raises(DataError, match=r"own\[train\]: cannot be"):
        list(HuggingFace(path=folder).rows("train"))
    (folder / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json: cannot be read"):
        list(HuggingFace(path=folder).rows("train"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "expected a name at the hub or the path of a folder"),
        ({"name": "a/b", "path": "x"}, "one of the two"),
        ({"name": "../b/c"}, "name"),
        ({"path": "x", "revision": "main"}, "is for names at the hub"),
        ({"path": "x", "config": "main"}, "is for names at the hub"),
        ({"name": "a", "validation": "train"}, "is 'train', and so is split"),
        ({"name": "a", "validation": "v", "test": "v"}, "is 'v', and so is validation"),
        ({"name": "a", "prompt": "q"}, "expected answer as well"),
    ],
)
def test_settings_that_do_not_go_together(values, expected):
    with pytest.raises(ConfigError) as caught:
        resolve({"dataset": {"type": "hf", **values}})
    assert expected in str(caught.value)


def test_names_at_the_hub(folder, tmp_path, monkeypatch):
    """Exactly what is asked for is loaded, no code of it among that."""
    asked = []

    def load(*words, **more):
        asked.append((words, more))
        if "no" in words:
            raise ConnectionError("no way to the hub")
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.chdir(tmp_path)
    dataset = HuggingFace(name="a/b", config="c", revision="v1", validation="dev")

    assert 40 == len(list(dataset.all_rows()))
    assert [
        (("a/b", "c"), {"split": split, "revision": "v1"}) for split in ("train", "dev")
    ] == asked
    assert dataset.files() is None
    with pytest.raises(DataError, match=r"^no\[train\]: cannot be loaded: no way to the hub"):
        list(HuggingFace(name="no").rows("train"))
    with pytest.raises(DataError, match="own: is a file or folder here"):
        list(HuggingFace(name="own").rows("train"))


def test_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"ai-os-diffusion\[hf\]"):
        list(HuggingFace(path=folder).rows("train"))
