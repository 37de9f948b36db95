"""What is written is what is read, and what is changed is refused by name."""

import json
import resource
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_core.testing import strategies
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.verify import faults
from aios_plugins.tensor_formats.parquet.writer import MAX_CHUNK, MAX_SHARD, WeightWriter


def assert_same(expected, actual):
    if isinstance(expected, QuantizedTensor):
        assert torch.equal(expected.codes, actual.codes)
        assert torch.equal(expected.params, actual.params)
        for word in ("shape", "dtype", "bits", "group_size", "scheme", "method", "layout"):
            assert getattr(expected, word) == getattr(actual, word)
        return
    assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)
    expected, actual = (
        each.contiguous().reshape(-1).view(torch.uint8) for each in (expected, actual)
    )
    assert torch.equal(expected, actual)


@pytest.mark.parametrize("mmap", [True, False])
def test_tensors_come_back_bit_for_bit(path, tensors, mmap):
    loader = WeightLoader.open(path, mmap=mmap)

    assert list(tensors) == list(loader)
    assert {"license": "none", "by": "«test»"} == loader.card
    for name, tensor in tensors.items():
        assert_same(tensor, loader[name])


@settings(max_examples=40)
@given(strategies.state_dicts())
def test_any_state_comes_back(write, tensors):
    loader = WeightLoader.open(write(tensors, max_chunk=64, max_shard=2000))

    assert set(tensors) == set(loader)
    for name, tensor in tensors.items():
        assert_same(tensor, loader[name])


def test_mapped_tensors_are_aligned_views_that_never_reach_the_file(path, tensors):
    before = path.read_bytes()
    loader = WeightLoader.open(path)
    start, end = (
        torch.frombuffer(loader.file("ids").data, dtype=torch.uint8, offset=offset).data_ptr()
        for offset in (0, loader.file("ids").end - 1)
    )
    for name in tensors:
        result = loader[name]
        result = result.codes if isinstance(result, QuantizedTensor) else result
        if result.numel():
            assert start <= result.data_ptr() < end, f"{name} was copied"
            assert 0 == result.data_ptr() % 64
    loader["layers.0.weight"].fill_(1)

    assert (1 == loader["layers.0.weight"]).all()
    assert before == path.read_bytes()


def test_a_tensor_outlives_its_loader(path, tensors):
    tensor = WeightLoader.open(path)["layers.0.weight"]

    assert_same(tensors["layers.0.weight"], tensor)


def test_a_file_may_be_replaced_while_it_is_used(write, tensors):
    path = write(tensors)
    loader = WeightLoader.open(path)
    with WeightWriter(path) as file:
        file.add("other", torch.zeros(3))

    assert_same(tensors["layers.0.weight"], loader["layers.0.weight"])
    assert ["other"] == list(WeightLoader.open(path))


@pytest.mark.parametrize("by", [[3.0, 1.0, 2.0], [3.0] * 30])
def test_a_file_that_is_read_and_replaced_is_refused(tmp_path, by):
    """Its digests are those of the file that was opened: another file's bytes would pass.

    Also by one that is as long.
    """
    path, sizes = tmp_path / "a.parquet", []
    for values in ([1.0, 2.0, 3.0], by):
        if values is by:
            loader = WeightLoader.open(path, mmap=False)
            assert_same(torch.tensor([1.0, 2.0, 3.0]), loader["a"])
        with WeightWriter(path) as file:
            file.add("a", torch.tensor(values))
        sizes.append(path.stat().st_size)

    assert (len(by) == 3) == (sizes[0] == sizes[1])
    with pytest.raises(ModelLoadError, match=f"{path}: 'a': is another file than the one"):
        loader["a"]


def test_what_is_read_is_apart_from_the_file(write):
    """Without a mapping, two readings of a tensor share nothing."""
    loader = WeightLoader.open(write({"a": torch.ones(3)}), mmap=False)
    loader["a"].fill_(7)

    assert_same(torch.ones(3), loader["a"])


def test_large_tensors_take_several_rows(write):
    tensor = torch.randn(100, 10)
    loader = WeightLoader.open(
        write({"a": torch.ones(3), "big": tensor, "z": tensor}, max_chunk=512)
    )

    assert 8 == len(loader.entry("big").chunks)
    assert_same(tensor, loader["big"])
    assert_same(tensor, loader["z"])


def test_parameters_stand_in_the_first_of_several_rows(write, tensors):
    """Once: the other rows of a packed tensor hold codes alone."""
    import pyarrow.parquet as pq

    packed = tensors["packed"]
    path = write({"a": packed, "b": packed}, max_chunk=24)
    loader = WeightLoader.open(path)
    rows = pq.read_table(path, columns=["chunk", "payload", "params"]).to_pylist()

    assert [0, 1, 2] * 2 == [row["chunk"] for row in rows]
    assert [24, 24, 16] * 2 == [len(row["payload"]) for row in rows]
    assert [bytes(packed.params.tolist()), b"", b""] * 2 == [row["params"] for row in rows]
    for name in loader:
        assert_same(packed, loader[name])
        assert packed.nbytes == loader.entry(name).nbytes


def test_a_file_holds_two_gibibytes_and_a_row_one(write, tensors):
    """Where nothing else is asked for: a reader of Parquet takes no page of twice that."""
    assert (2 * 2**30, 2**30) == (MAX_SHARD, MAX_CHUNK)
    with WeightWriter(write(tensors)) as file:
        assert (MAX_SHARD, MAX_CHUNK) == (file._max_shard, file._max_chunk)


def test_shards_are_one_model(write, tensors):
    path = write(tensors, max_shard=1500)
    index = path.with_name("model.parquet.index.json")
    shards = json.loads(index.read_text())["shards"]

    assert not path.exists()
    assert len(shards) > 2
    assert f"model-00001-of-{len(shards):05d}.parquet" == next(iter(shards))
    assert sorted([*shards, index.name]) == sorted(each.name for each in path.parent.iterdir())
    for name in (path, index):
        loader = WeightLoader.open(name)
        assert list(tensors) == list(loader)
        for key, tensor in tensors.items():
            assert_same(tensor, loader[key])


def test_shards_of_two_models_are_not_mixed(write, tensors):
    path, other = (
        write(tensors, max_shard=1500),
        write({**tensors, "more": torch.ones(3)}, max_shard=1500),
    )
    name = next(path.parent.glob("model-00001*"))
    name.write_bytes(next(other.parent.glob("model-00002*")).read_bytes())

    with pytest.raises(
        ModelLoadError, match=r"is not the shard that .*index\.json was written with"
    ):
        WeightLoader.open(path)


def test_parts_are_apart(tmp_path):
    path = tmp_path / "model.parquet"
    with WeightWriter(path) as file:
        file.add("a", torch.ones(1))
        file.add("a", torch.zeros(2), part="other")

    loader = WeightLoader.open(path)
    assert (1, 2) == (len(loader["a"]), len(loader.part("other")["a"]))
    assert 0 == len(loader.part("nothing"))
    data = bytearray(path.read_bytes())
    data[loader.part("other").entry("a").chunks[0].offset] ^= 1
    path.write_bytes(data)
    assert_same(torch.ones(1), WeightLoader.open(path)["a"])
    with pytest.raises(ModelLoadError, match="'a': a byte of its payload is changed"):
        WeightLoader.open(path).part("other")["a"]
    WeightLoader.open(path, verify=False).part("other")["a"]


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize(("name", "column"), [("layers.0.bfloat", "payload"), ("packed", "params")])
def test_a_changed_byte_is_named_by_file_and_tensor(write, tensors, name, column, mmap):
    path = write(tensors)
    run = dict(WeightLoader.open(path).entry(name).runs)[column]
    data = bytearray(path.read_bytes())
    data[run.offset + run.size // 2] ^= 4
    path.write_bytes(data)
    loader = WeightLoader.open(path, mmap=mmap)

    assert_same(tensors["ids"], loader["ids"])
    with pytest.raises(
        ModelLoadError, match=f"{path}: '{name}': a byte of its {column} is changed"
    ):
        loader[name]
    WeightLoader.open(path, verify=False)[name]


def test_nothing_appears_before_the_end(tmp_path):
    path = tmp_path / "new" / "er" / "model.parquet"

    def fail():
        with WeightWriter(path) as file:
            file.add("a", torch.ones(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert [] == list(path.parent.iterdir())


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (("a", torch.ones(1)), "'a' is written twice"),
        (("b", torch.ones(1, dtype=torch.complex64)), "'b' is complex64; a file holds float64"),
    ],
)
def test_what_cannot_be_written(tmp_path, add, message):
    with WeightWriter(tmp_path / "m") as file:
        file.add("a", torch.ones(3))
        with pytest.raises(ModelSaveError, match=message):
            file.add(*add)


def test_an_empty_model_is_one(write):
    assert {} == dict(WeightLoader.open(write({})))


@pytest.mark.slow
def test_memory_is_stable_over_ten_thousand_loads(write, tensors):
    path = write({name: tensors[name] for name in ("layers.0.bfloat", "packed")})

    def load(times):
        for _ in range(times):
            loader = WeightLoader.open(path)
            for name in loader:
                loader[name]
        return int(memory.read_text().split()[1]) * resource.getpagesize()

    memory = Path("/proc/self/statm")
    if not memory.exists():
        pytest.skip("this system does not tell the memory of a process")
    before = load(500)
    after = load(10_000)

    assert after - before < 4e6, f"grew by {after - before} bytes"
    assert len(list(Path("/proc/self/fd").iterdir())) < 200


def test_a_changed_byte_that_passes_changes_no_tensor(write, tmp_path):
    """What FORMAT.md says of the bytes that no digest covers."""
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int8)}
    path, passed = write(tensors), 0
    whole, card = path.read_bytes(), WeightLoader.open(path).card
    changed = tmp_path / "changed.parquet"
    for place in range(0, len(whole), 7):
        changed.write_bytes(bytes([*whole[:place], whole[place] ^ 4, *whole[place + 1 :]]))
        if next(faults(changed), None) is None:
            passed += 1
            loader = WeightLoader.open(changed)
            assert (card, list(tensors)) == (loader.card, list(loader)), place
            for name, tensor in tensors.items():
                assert_same(tensor, loader[name])
    assert 0 < passed < len(whole) // 7 / 2
