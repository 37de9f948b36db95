"""A training begins with the weights of another run."""

from __future__ import annotations

import logging
import shutil

import attrs
import pytest
import torch
from safetensors.torch import load_file, save_file

from aios_core.config import load, training_key, twin
from aios_core.contracts import TensorSource
from aios_core.diffusion.model import Model
from aios_core.errors import ModelLoadError, TrainingError
from aios_core.experiment.run import ready
from aios_core.formats import save_tensors
from aios_core.training import checkpoint
from aios_core.training.checkpoint import latest, named_tensors, read_state
from aios_core.training.data import prepare
from aios_core.training.initial import check_apart, data_of, opened
from aios_core.training.learner import Learner
from aios_core.training.trainer import train
from aios_plugins.quantizers.rtn import Rtn

log = logging.getLogger("aios_core.tests")


@pytest.fixture
def source(tiny, tmp_path):
    """The folder of a run."""
    train(tiny("seed=7"), tmp_path / "source", progress=False)
    return tmp_path / "source"


@pytest.fixture
def begun(tiny):
    """A function that makes a learner which begins with the weights that its settings name."""

    def begun(*overrides):
        resolved = tiny(*overrides)
        learner, initial = Learner(resolved.config, prepare(resolved)), opened(resolved)
        if initial is not None:
            learner.begin(initial)
        return learner

    return begun


def parts(learner, part):
    return {name: tensor.clone() for name, tensor in learner.parts()[part].items()}


def averaged(run):
    return load_file(checkpoint.chosen(run) / "ema.safetensors")


def same(first, other):
    return first.keys() == other.keys() and all(first[name].equal(other[name]) for name in first)


@pytest.mark.parametrize("place", ["", "/checkpoints/step-000006"])
def test_it_begins_with_the_averaged_weights_and_a_fresh_optimizer(begun, source, place):
    learner, random = begun(f"training.init_from={source}{place}"), begun()

    assert same(averaged(source), parts(learner, "weights"))
    assert same(averaged(source), parts(learner, "ema"))
    assert same(parts(random, "optimizer"), parts(learner, "optimizer"))
    assert not same(parts(random, "weights"), parts(learner, "weights"))


def test_it_learns_from_there_and_goes_on_bit_for_bit(begun, tiny, tmp_path, source, caplog):
    """What it began with is read for the key alone once there is a checkpoint."""
    caplog.set_level("INFO")
    resolved = tiny(f"training.init_from={source}")
    whole = train(resolved, tmp_path / "whole", progress=False)
    assert 1 == caplog.text.count("begins with 8 of its network's 8 tensors")
    train(resolved, tmp_path / "run", progress=False)
    (tmp_path / "run" / "checkpoints" / "latest").write_text("step-000003")
    caplog.clear()
    again = train(resolved, tmp_path / "run", progress=False)

    assert "begins with" not in caplog.text
    for part in checkpoint.PARTS:
        name = f"{part}.safetensors"
        assert (whole / name).read_bytes() == (again / name).read_bytes(), part
    learner = begun(f"training.init_from={source}")
    assert learner.step(0).loss < begun().step(0).loss


def test_a_network_of_another_depth_takes_what_fits_and_names_the_rest(begun, source, caplog):
    caplog.set_level("INFO")
    deeper = begun(f"training.init_from={source}", "backbone.layers=3")
    random = parts(begun("backbone.layers=3"), "weights")
    (said,) = (record for record in caplog.records if "begins with" in record.getMessage())

    assert "WARNING" == said.levelname
    assert said.getMessage().endswith(
        "begins with 8 of its network's 20 tensors; not there, and begins anew: "
        "backbone.blocks.1 (6 tensors), backbone.blocks.2 (6 tensors)"
    )
    own, there = parts(deeper, "weights"), averaged(source)
    assert same({**random, **there}, own)
    assert same(own, parts(deeper, "ema"))


def test_a_network_of_less_depth_leaves_the_rest(begun, tiny, tmp_path, caplog):
    train(tiny("backbone.layers=2"), tmp_path / "deep", progress=False)
    caplog.clear()
    own = parts(begun(f"training.init_from={tmp_path / 'deep'}"), "weights")

    assert (
        "begins with 8 of its network's 8 tensors; there alone, and is left out: "
        "backbone.blocks.1 (6 tensors)"
    ) in caplog.text
    assert same(own, {name: averaged(tmp_path / "deep")[name] for name in own})


def test_another_conditioner_and_schedule_are_named(tiny, source, tmp_path, caplog):
    """Whose modules are no part of the run that it begins with, and the other way round."""
    with_more = ("noise.type=learned", "conditioner={type='memory', k=1, num_tokens=2, store='s'}")
    resolved = tiny(f"training.init_from={source}", *with_more)
    tokens = prepare(tiny()).tokenizer.vocabulary
    model = Model.build(resolved.config, tokens)
    opened(resolved).fill(model, log)
    there, own = averaged(source), named_tensors(model)
    conditioner, noise = (sum(name.startswith(part) for name in own) for part in ("mem", "noise"))

    new = f"memory ({conditioner} tensors), noise ({noise} tensors)"
    assert 5 < conditioner
    assert caplog.text.endswith(f"{len(own)} tensors; not there, and begins anew: {new}\n")
    assert same(there, {name: own[name] for name in there})

    save_file(own, tmp_path / "conditioned.safetensors")
    resolved = tiny(f"training.init_from={tmp_path / 'conditioned.safetensors'}")
    opened(resolved).fill(Model.build(resolved.config, tokens), log)
    assert caplog.text.endswith(f"8 tensors; there alone, and is left out: {new}\n")


@pytest.mark.parametrize("dim", [16, 64])
def test_a_network_that_nothing_fits_does_not_begin(tiny, tmp_path, source, dim):
    with pytest.raises(
        TrainingError,
        match=r"init_from: .*source: none of its matrices fits this network; of another shape, .*"
        rf"backbone.blocks.0.attention.out.weight is \(32, 32\) there and \({dim}, {dim}\) here",
    ):
        train(
            tiny(f"training.init_from={source}", f"backbone.dim={dim}"),
            tmp_path / "run",
            progress=False,
        )
    assert latest(tmp_path / "run") is None


@pytest.mark.parametrize("size", [280, 305])
def test_another_vocabulary_is_refused_with_both_tokenizers(tiny, tmp_path, size):
    bpe = ("tokenizer.type=bpe", "tokenizer.vocab_size=300")
    train(tiny(*bpe), tmp_path / "source", progress=False)
    begins = f"training.init_from={tmp_path / 'source'}"
    other = tiny("tokenizer.type=bpe", f"tokenizer.vocab_size={size}", begins)
    expected = (
        r"^training\.init_from: .*source: its tokenizer is bpe \(vocab_size = 300, min_frequency = "
        rf"2, fingerprint [0-9a-f]{{12}}\), and that of this run is bpe \(vocab_size = {size}, "
        r"min_frequency = 2, fingerprint [0-9a-f]{12}\); expected the same"
    )
    for begin in (ready, lambda value, folder: train(value, folder, progress=False)):
        with pytest.raises(TrainingError, match=expected):
            begin(other, tmp_path / "run")
        assert not (tmp_path / "run" / "tokenizer").exists()
    train(tiny(*bpe, begins), tmp_path / "run", progress=False)


def test_a_tokenizer_that_was_learned_goes_along_to_other_texts(tiny, tmp_path):
    bpe = ("tokenizer.type=bpe", "tokenizer.vocab_size=300")
    source = tmp_path / "source"
    first = train(tiny(*bpe), source, progress=False)
    (tmp_path / "other.txt").write_text("A barrel of beer and a barrel of rum. " * 90)
    begins = (f"training.init_from={source}", f"dataset.path={tmp_path / 'other.txt'}")
    with pytest.raises(TrainingError, match=r"tokenizer is bpe .* and that of this run is bpe "):
        train(tiny("tokenizer.type=bpe", "tokenizer.vocab_size=270", *begins), tmp_path / "run")
    same = ("tokenizer.type=bpe", f"tokenizer.file={source / 'tokenizer' / 'tokenizer.json'}")
    tuned = train(tiny(*same, *begins), tmp_path / "run", progress=False)

    assert read_state(first).tokenizer == read_state(tuned).tokenizer
    shutil.rmtree(source)
    checkpoint.load(tmp_path / "run")


@pytest.mark.parametrize("rows", [200, 300])
def test_weights_of_no_known_tokenizer_fit_by_shape(begun, source, tmp_path, caplog, rows):
    """A bare file says nothing of its tokens."""
    tensors = averaged(source)
    vocabulary = len(tensors["head.embedding.weight"])
    tensors["head.embedding.weight"] = torch.zeros(rows, 32)
    save_file(tensors, tmp_path / "bare.safetensors")
    learner = begun(f"training.init_from={tmp_path / 'bare.safetensors'}")

    assert (
        "begins with 7 of its network's 8 tensors; of another shape, and begins anew: "
        f"head.embedding.weight is ({rows}, 32) there and ({vocabulary}, 32) here"
    ) in caplog.text
    assert parts(learner, "weights")["head.embedding.weight"].any()


def test_the_key_is_that_of_the_weights_wherever_they_lie(tiny, source, tmp_path):
    shutil.copytree(source, tmp_path / "moved")
    save_file(averaged(source), tmp_path / "bare.safetensors")
    step = checkpoint.chosen(source)

    def keyed(place):
        resolved = tiny(f"training.init_from={place}")
        known = data_of("texts", opened(resolved))
        return known, training_key(resolved, known)

    same = {keyed(place) for place in (source, tmp_path / "moved", step)}
    assert 1 == len(same)
    (single,) = same
    others = {keyed(step / "weights.safetensors"), keyed(tmp_path / "bare.safetensors"), single}
    assert 3 == len(others), "other weights, or of a tokenizer that is not known"
    assert training_key(tiny(), "texts") not in {key for _, key in others}
    assert "texts" == data_of("texts", opened(tiny()))


def test_other_weights_in_the_same_place_void_the_result(tiny, source, tmp_path):
    resolved = tiny(f"training.init_from={source}")
    run = tmp_path / "run"
    first = train(resolved, run, progress=False)
    data = read_state(first).data
    kept = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert ready(resolved, run, data=data)

    train(tiny("seed=7", "training.steps=9"), source, progress=False)
    refused = r"run: began with other weights than there are now in training\.init_from.*source the"
    with pytest.raises(TrainingError, match=refused):
        train(resolved, run, progress=False)
    with pytest.raises(Exception, match=r"lock\.data: .*, or the weights in training\.init_from, "):
        ready(resolved, tmp_path / "again", data=data)
    with pytest.raises(TrainingError, match=r"source there, unset here\); expected them as they"):
        train(tiny(), run, progress=False)
    assert kept == {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    checkpoint.load(run)  # which has all it needs
    shutil.rmtree(source)
    checkpoint.load(run)


def test_its_twin_is_the_one_of_a_run_that_begins_with_random_weights(tiny, source):
    first, other = (twin(tiny(*over)) for over in ((), (f"training.init_from={source}",)))

    assert first.config == other.config
    assert training_key(first, "texts") == training_key(other, "texts")
    assert first.values == other.values


def test_the_lock_file_names_them_from_its_folder(tiny, source, tmp_path):
    train(tiny(f"training.init_from={source}"), tmp_path / "run", progress=False)
    lock = tmp_path / "run" / "run.lock.toml"

    assert 'init_from = "../source"' in lock.read_text()
    assert source == load(lock).config.training.init_from


def test_a_weight_file_has_its_tokenizer(begun, tiny, source, tmp_path, caplog):
    """Quantized matrices are taken as what they stand for."""
    trained = checkpoint.load(source)
    state = attrs.asdict(attrs.evolve(trained.state, files={}))
    tensors = dict(checkpoint.named_tensors(trained.model))
    name = "backbone.blocks.0.attention.qkv.weight"
    packed = Rtn(bits=8).quantize(tensors[name])
    path = tmp_path / "model.parquet"
    content = {**tensors, name: packed}
    save_tensors(
        TensorSource(path, tuple(content), content.__getitem__, {"model": state}, {}), path
    )
    learner = begun(f"training.init_from={path}")

    assert same({**tensors, name: Rtn().dequantize(packed)}, parts(learner, "weights"))
    other = tiny("tokenizer.type=bpe", "tokenizer.vocab_size=300", f"training.init_from={path}")
    with pytest.raises(TrainingError, match=r"its tokenizer is bytes \(fingerprint [0-9a-f]{12}\)"):
        ready(other, tmp_path / "run")


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("nowhere", r"nowhere: cannot be opened"),
        ("corpus.txt", r"corpus.txt: is truncated, or no Parquet"),
        (
            ".",
            r"holds no checkpoint; expected the folder of a run, of one of its checkpoints, or a",
        ),
    ],
)
def test_what_holds_no_weights_is_named(tiny, tmp_path, corpus, place, wrong):
    with pytest.raises((TrainingError, ModelLoadError), match=rf"^training\.init_from: .*{wrong}"):
        ready(tiny(f"training.init_from={tmp_path / place}"), tmp_path / "run")


def test_damaged_weights_are_named(tiny, source, tmp_path):
    path = latest(source) / "ema.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(
        ModelLoadError, match=r"^training\.init_from: .*ema\.safetensors: .*SHA-256"
    ):
        ready(tiny(f"training.init_from={source}"), tmp_path / "run")


def test_a_run_is_not_emptied_that_another_is_to_begin_with(tiny, source, tmp_path):
    (tmp_path / "link").symlink_to(source)
    for place in (source, source / "checkpoints", tmp_path / "link"):
        with pytest.raises(TrainingError, match=r"which `fresh` would empty; expected another"):
            check_apart(tiny(f"training.init_from={place}"), source)
    check_apart(tiny(f"training.init_from={source}"), tmp_path / "run")
    check_apart(tiny(), source)
