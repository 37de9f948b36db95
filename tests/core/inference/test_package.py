"""Whole models in weight files."""

import attrs
import pytest
import torch

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError
from aios_core.inference import ArrowEngine
from aios_core.inference.package import export, load
from aios_core.quantization.linear import quantize_model
from aios_core.training import checkpoint
from aios_plugins.quantizers.rtn import Rtn
from aios_plugins.tensor_formats.parquet.loader import WeightLoader
from aios_plugins.tensor_formats.parquet.writer import WeightWriter


@pytest.fixture
def trained(run):
    return checkpoint.load(run)


@pytest.fixture
def rewritten(trained, tmp_path):
    """A function that exports a model with some tensors changed, or left out where None."""

    def rewritten(changes, card=None, part="weights"):
        whole, path = tmp_path / "whole.parquet", tmp_path / "changed.parquet"
        export(trained, whole)
        loader = WeightLoader.open(whole)
        with WeightWriter(path, loader.card if card is None else card) as file:
            for own in ("weights", "tokenizer"):
                tensors = dict(loader.part(own)) | (changes if own == part else {})
                for name, tensor in tensors.items():
                    if tensor is not None:
                        file.add(name, tensor, own)
        return path

    return rewritten


def test_a_model_is_the_same_from_a_file(run, trained, engine, tmp_path):
    export(trained, tmp_path / "model.parquet")
    other = ArrowEngine.load(tmp_path / "model.parquet", overrides=["sampler.steps=6"])

    assert engine.diffuse("milk", seed=3).texts == other.diffuse("milk", seed=3).texts
    assert {"diffusion"} == set(other.models)


def test_weights_are_views_of_the_file(trained, tmp_path):
    export(trained, tmp_path / "model.parquet")
    model = ArrowEngine.load(tmp_path / "model.parquet").models["diffusion"].model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            assert 0 == parameter.data_ptr() % 64, name
            parameter.zero_()

    loaded = WeightLoader.open(tmp_path / "model.parquet")
    assert loaded["backbone.blocks.0.attention.qkv.weight"].any()


def test_a_file_of_an_older_format_holds_a_model_of_streams(rewritten, trained):
    """As its run does; what a newer version wrote is refused."""
    card = attrs.asdict(trained.state)
    older = {k: v for k, v in card["values"]["diffusion"].items() if k != "packing"}
    model = card | {"format": 3, "values": card["values"] | {"diffusion": older}}
    path = rewritten({}, {"model": model})

    assert "stream" == load(path).resolved.config.diffusion.packing
    assert "documents" == load(rewritten({})).resolved.config.diffusion.packing
    with pytest.raises(ModelLoadError, match="in format 99 by a newer version"):
        load(rewritten({}, {"model": card | {"format": 99}}))


def test_a_quantized_model_writes_from_its_file(trained, tmp_path):
    quantize_model(trained.model, Rtn(bits=8))
    size = export(trained, tmp_path / "model.parquet")
    x = torch.randint(0, 256, (2, 9))
    other = ArrowEngine.load(tmp_path / "model.parquet")

    assert size.bits_per_weight < 24
    packed = WeightLoader.open(tmp_path / "model.parquet")["backbone.blocks.0.attention.qkv.weight"]
    assert isinstance(packed, QuantizedTensor)
    with torch.no_grad():
        t = torch.full((2,), 0.5, dtype=torch.float64)
        assert torch.equal(trained.model(x, t), other.models["diffusion"].model(x, t))
    assert other.diffuse("milk", seed=1).texts


def test_parts_that_do_not_fit_are_told(rewritten):
    name = "backbone.blocks.1.feed_forward.out.weight"
    cases = [
        ({name: None}, f"lacks the tensor '{name}'"),
        ({"more": torch.ones(1)}, "holds 'more', which this model has not"),
        ({name: torch.ones(2, 2)}, rf"'{name}' has shape \(2, 2\); expected \(32, "),
        (
            {"head.norm.weight": torch.ones(32).half()},
            "'head.norm.weight' is torch.float16; expected",
        ),
        (
            {"head.embedding.weight": Rtn().quantize(torch.ones(260, 32))},
            "is quantized, and is not of a linear layer",
        ),
    ]
    for changes, message in cases:
        with pytest.raises(ModelLoadError, match=message):
            ArrowEngine.load(rewritten(changes))


def test_foreign_parts_are_refused(rewritten, tmp_path):
    tensor = torch.ones(1, dtype=torch.uint8)
    with pytest.raises(ModelLoadError, match="is not a file of a tokenizer"):
        ArrowEngine.load(rewritten({"../escaped": tensor}, part="tokenizer"))
    with pytest.raises(ModelLoadError, match="its card describes no model"):
        ArrowEngine.load(rewritten({}, card={"license": "mit"}))

    assert not (tmp_path / "escaped").exists()


def test_another_tokenizer_is_refused(rewritten, trained):
    state = attrs.asdict(attrs.evolve(trained.state, tokenizer="0" * 64))
    with pytest.raises(ModelLoadError, match="its tokenizer is not the one"):
        ArrowEngine.load(rewritten({}, card={"model": state}))
