"""To and from safetensors and torch's files, bit for bit; and what is found to differ."""

import json
import re
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import save_file

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError, ModelSaveError
from aios_core.formats import open_tensors, save_tensors
from aios_core.testing import strategies
from aios_plugins.commands._tensors import quantized
from aios_plugins.commands.weights.compare import differences
from aios_plugins.quantizers.rtn import Rtn
from aios_plugins.tensor_formats.parquet import index, writer
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.pages import walk
from aios_plugins.tensor_formats.parquet.rows import SCHEMA
from aios_plugins.tensor_formats.parquet.verify import faults
from aios_plugins.tensor_formats.parquet.writer import WeightWriter

from .test_loader import assert_same


@settings(max_examples=30)
@given(strategies.state_dicts())
def test_a_round_trip_through_every_kind_is_exact(tmp_path_factory, tensors):
    tensors = {name: t for name, t in tensors.items() if name != "__metadata__"} or {
        "": torch.ones(1)
    }
    folder = tmp_path_factory.mktemp("kinds")
    save_file(tensors, folder / "a.safetensors")
    names = ["a.safetensors", "b.parquet", "c.pt", "d.parquet", "e.safetensors"]
    for before, after in pairwise(names):
        save_tensors(open_tensors(folder / before), folder / after)

    for name in names[1:]:
        assert [] == list(
            differences(open_tensors(folder / "a.safetensors"), open_tensors(folder / name))
        )
    for key, tensor in WeightLoader.open(folder / "d.parquet").items():
        assert_same(tensors[key], tensor)


@pytest.fixture
def tied(tmp_path):
    """Torch's file of two matrices, of which one has two names and another is its transpose."""
    embedding = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    tensors = {"wte.weight": embedding, "h.weight": torch.ones(9, 9), "head.weight": embedding}
    torch.save(tensors | {"turned": embedding.T, "none": torch.ones(0)}, tmp_path / "m.bin")
    return tmp_path / "m.bin"


@pytest.mark.parametrize("options", [{}, {"max_shard": 1000}])
def test_tensors_that_are_one_stay_one(tied, tmp_path, monkeypatch, options):
    """Fault E5: each is written once, and found under each of its names, there and back."""
    monkeypatch.setattr(WeightWriter.__init__, "__kwdefaults__", {
        **WeightWriter.__init__.__kwdefaults__, **options})  # fmt: skip
    written = save_tensors(open_tensors(tied), tmp_path / "m.parquet")
    loader = WeightLoader.open(written)
    sizes = [entry.nbytes for file in loader.files for entry in file.entries.values()]

    assert {"head.weight": "wte.weight"} == loader.tied == open_tensors(written).tied
    assert {"wte.weight", "h.weight", "head.weight", "turned", "none"} == set(loader)
    assert 2 * 12800 + 324 == sum(sizes)
    assert loader["wte.weight"].data_ptr() == loader["head.weight"].data_ptr()
    assert [] == list(faults(written))
    save_tensors(open_tensors(written), tmp_path / "again.bin")
    save_tensors(open_tensors(written), tmp_path / "again.safetensors")
    again = torch.load(tmp_path / "again.bin", weights_only=True)
    assert again["wte.weight"].data_ptr() == again["head.weight"].data_ptr()
    for name in ("m.parquet", "again.bin", "again.safetensors"):
        assert [] == list(differences(open_tensors(tied), open_tensors(tmp_path / name)))


def test_a_turned_view_is_another_tensor(tmp_path):
    """Fault E5: it has the memory and the shape of the square matrix that it shows."""
    square = torch.arange(9.0).view(3, 3)
    torch.save({"a": square, "b": square.T}, tmp_path / "m.bin")
    loader = WeightLoader.open(
        save_tensors(open_tensors(tmp_path / "m.bin"), tmp_path / "m.parquet")
    )

    assert {} == loader.tied
    assert torch.equal(square.T, loader["b"])


def test_other_views_of_the_same_memory_are_tensors_of_their_own(tmp_path):
    """Fault E5: one of fewer rows is not the other's name, and one of all of them is."""
    matrix = torch.arange(12.0).view(4, 3)
    tensors = {"a": matrix, "c": matrix[:2], "d": matrix[:, :3]}
    torch.save(tensors, tmp_path / "m.bin")
    loader = WeightLoader.open(
        save_tensors(open_tensors(tmp_path / "m.bin"), tmp_path / "m.parquet")
    )

    assert {"d": "a"} == loader.tied
    for name, tensor in tensors.items():
        assert_same(tensor, loader[name])


def test_only_names_that_are_tied_need_the_newer_format(tied, tmp_path, write, tensors):
    """Fault E5: versions that know no tied names read all other files as before."""
    written = save_tensors(open_tensors(tied), tmp_path / "m.parquet")

    assert b'"format":2,"tied":{"head.weight":"wte.weight"}' in written.read_bytes()
    assert b'"format":1,' in write(tensors).read_bytes()


@pytest.mark.parametrize(("exclude", "expected"), [("h.*", True), ("wte*", False)])
def test_tied_tensors_are_quantized_alike_or_apart(tied, tmp_path, exclude, expected):
    """Fault E5: where only one of the names is to be quantized, they are two tensors."""
    made = save_tensors(quantized(open_tensors(tied), Rtn(), (exclude,)), tmp_path / "m.parquet")
    loader = WeightLoader.open(made)

    assert isinstance(loader["head.weight"], QuantizedTensor)
    assert expected == isinstance(loader["wte.weight"], QuantizedTensor) == bool(loader.tied)


def test_a_name_is_tied_once_and_to_a_tensor(tmp_path):
    with WeightWriter(tmp_path / "m.parquet") as file:
        file.add("a", torch.ones(3))
        file.tie("b", "a")
        for name, other in (("b", "a"), ("a", "a"), ("c", "d"), ("c", "b")):
            with pytest.raises(ModelSaveError, match=f"'{name}' cannot be tied to '{other}'"):
                file.tie(name, other)
        with pytest.raises(ModelSaveError, match="'b' is written twice"):
            file.add("b", torch.ones(3))


def test_the_card_goes_with_the_tensors(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"format": "pt", "by": "us"})
    save_tensors(open_tensors(tmp_path / "a.safetensors"), tmp_path / "b.parquet")
    save_tensors(open_tensors(tmp_path / "b.parquet"), tmp_path / "c.safetensors")

    assert {"format": "pt", "by": "us"} == WeightLoader.open(tmp_path / "b.parquet").card
    assert {"format": "pt", "by": "us"} == dict(open_tensors(tmp_path / "c.safetensors").card)


def test_a_card_is_kept_as_texts_where_a_file_holds_no_other(tmp_path):
    """As JSON, but for what is a text."""
    path = tmp_path / "m.parquet"
    with WeightWriter(path, {"n": 3, "list": ["ü", None], "on": True, "text": "a b"}) as file:
        file.add("a", torch.ones(2))
    save_tensors(open_tensors(path), tmp_path / "m.safetensors")

    card = open_tensors(tmp_path / "m.safetensors").card
    assert {"n": 3, "list": ["ü", None], "on": True} == {
        key: json.loads(card[key]) for key in ("n", "list", "on")
    }
    assert "a b" == card["text"]


def test_shards_of_safetensors_are_one_source(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "1.safetensors", {"by": "us"})
    save_file({"b": torch.zeros(2)}, tmp_path / "2.safetensors", {"format": "pt"})
    index = tmp_path / "model.safetensors.index.json"
    where = {"b": "2.safetensors", "a": "1.safetensors"}
    index.write_text(json.dumps({"weight_map": where}))
    save_tensors(open_tensors(index), tmp_path / "m.parquet")

    loader = WeightLoader.open(tmp_path / "m.parquet")
    assert ["b", "a"] == list(loader)
    assert ([0, 0], [1, 1]) == (loader["b"].tolist(), loader["a"].tolist())
    assert {"by": "us", "format": "pt"} == loader.card
    for wrong in ({"c": "1.safetensors"}, {"a": "../1.safetensors"}, {"a": 3}):
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(ModelLoadError, match=r"index\.json: "):
            open_tensors(index)


def test_quantized_tensors_and_other_parts_stay_as_they_are(tmp_path, path):
    save_tensors(open_tensors(path), tmp_path / "copy.parquet")

    assert [] == list(differences(open_tensors(path), open_tensors(tmp_path / "copy.parquet")))
    with pytest.raises(
        ModelSaveError, match=r"'packed' is quantized, and \.safetensors has no such"
    ):
        save_tensors(open_tensors(path), tmp_path / "copy.safetensors")


class Trap:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": Trap()}, "is not a torch file that holds tensors alone"),
        ({"model": {"a": torch.ones(1)}, "step": 3}, "'model' may be the state dict"),
        ([torch.ones(1)], "holds a list; expected tensors by name"),
        ({"a": 3}, "'a' is a int; expected tensors by name$"),
    ],
)
def test_torch_files_hold_tensors_alone(tmp_path, capsys, content, message):
    torch.save(content, tmp_path / "a.pt")

    with pytest.raises(ModelLoadError, match=message):
        open_tensors(tmp_path / "a.pt")
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a.safetensors.index.json", "a.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"garbage" * 100])
def test_what_is_no_such_file_is_refused(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ModelLoadError, match=name):
        open_tensors(tmp_path / name)


def test_differences_are_told(write):
    first = {
        "same": torch.ones(2),
        "gone": torch.ones(1),
        "value": torch.zeros(4),
        "type": torch.ones(2),
    }
    second = {"same": torch.ones(2), "new": torch.ones(1), "value": torch.tensor([0, 0, 0, -2.0])}
    second["type"] = torch.ones(2).half()
    changes = differences(open_tensors(write(first)), open_tensors(write(second)))

    assert {
        "gone": "only in the first",
        "new": "only in the second",
        "type": "float32 2, and float16 2",
        "value": "1 of 4 values differ, by at most 2",
    } == dict(changes)


def test_a_sound_file_has_no_faults(path, write, tensors):
    assert [] == list(faults(path))
    assert [] == list(faults(write(tensors, max_shard=1500, max_chunk=64)))


def test_faults_name_every_tensor(write, tensors):
    path = write(tensors)
    data = bytearray(path.read_bytes())
    loader = WeightLoader.open(path)
    for name in ("ids", "packed"):
        data[loader.entry(name).chunks[0].offset] ^= 1
    path.write_bytes(data)

    results = [str(error) for error in faults(path)]
    assert 2 == len(results)
    assert f"{path}: 'ids': a byte of its payload is changed" in results[0]
    assert f"{path}: 'packed': a byte of its payload is changed" in results[1]


def test_a_row_that_the_index_contradicts_is_a_fault(write):
    path = write({"first": torch.ones(2), "other": torch.ones(2)})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"first", b"worst", 1))  # in the row, not in the index

    (fault,) = faults(path)
    assert f"{path}: 'first': its name is 'worst' in the row and 'first' in the index" == str(fault)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: [a], "the index lists 1 rows, and the file has 2"),
        (lambda a, b: [a | {"dtype": "int32"}, b], "'a': its dtype is 'float32' in the row"),
        (lambda a, b: [a, b | {"bits": 8}], "'b': its bits is 32 in the row and 8 in the index"),
        (lambda a, b: [a | {"group_size": 7}, b], "'a': its group_size is 0 in the row"),
        (lambda a, b: [a, b | {"part": "other"}], "'b': its part is 'weights' in the row"),
        (lambda a, b: [a | {"shape": [4, 1]}, b], "'a': its shape is .2, 2. in the row"),
        (
            lambda a, b: [
                a | {"payload_offset": b["payload_offset"]},
                b | {"payload_offset": a["payload_offset"]},
            ],
            "'a': its payload lies elsewhere than indexed",
        ),
    ],
)
def test_an_index_that_says_other_than_the_rows_is_a_fault(tmp_path, monkeypatch, change, message):
    """Digests hold in each: other readers would find something else than ours."""
    monkeypatch.setattr(writer, "write", lambda rows, tied: index.write(change(*rows), tied))
    with WeightWriter(tmp_path / "m.parquet") as file:
        file.add("a", torch.ones(2, 2))
        file.add("b", torch.ones(2, 2))

    (fault,) = faults(tmp_path / "m.parquet")
    assert re.search(message, str(fault))


def test_a_file_of_any_suffix_is_known_by_its_bytes(tmp_path):
    """Fault T8: a `.ckpt` or a safetensors file without its suffix is what it is."""
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "a.weights")
    torch.save({"a": torch.ones(2)}, tmp_path / "b.ckpt")

    for name in ("a.weights", "b.ckpt"):
        assert torch.equal(torch.ones(2), open_tensors(tmp_path / name).get("a"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (torch.Tensor.to_sparse, r"'a' is a tensor of torch.sparse_coo; .*\.to_dense\(\) of it"),
        (torch.Tensor.to_sparse_csr, "'a' is a tensor of torch.sparse_csr; expected dense"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR")  # when it is made
def test_a_sparse_tensor_is_named(tmp_path, make, message):
    """Fault T8."""
    tensor = make(torch.eye(3))
    torch.save({"a": tensor}, tmp_path / "a.pt")
    with pytest.raises(ModelLoadError, match=message):
        open_tensors(tmp_path / "a.pt")
    with (
        pytest.raises(ModelSaveError, match=r"'a' is a tensor of torch\.sparse"),
        WeightWriter(tmp_path / "m.parquet") as file,
    ):
        file.add("a", tensor)


def test_a_tensor_that_the_index_does_not_say_is_not_dropped(tmp_path):
    """Fault E7: an index that says less than its files hold."""
    save_file({"a": torch.ones(2), "b": torch.ones(2)}, tmp_path / "1.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors"}}))
    with pytest.raises(ModelLoadError, match=r"1\.safetensors holds 'b' \(1 such tensors\), which"):
        open_tensors(index)


@pytest.mark.parametrize("column", ["padding", "params_padding"])
def test_a_padding_that_is_not_zero_is_a_fault(path, tmp_path, column):
    """Section 5: other readers give these bytes to whoever asks for them."""
    import pyarrow.parquet as pq

    start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    pages = dict(zip(SCHEMA.names, walk(bytes(data), start, len(SCHEMA)), strict=True))
    at, size = pages[column].binary(bytes(data))
    data[at + size - 1] = 1
    forged = tmp_path / "forged.parquet"
    forged.write_bytes(data)
    (fault,) = faults(forged)

    assert f"{forged}: 'layers.0.weight': its {column} holds other than zeros" == str(fault)
