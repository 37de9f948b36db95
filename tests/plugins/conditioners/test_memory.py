"""Memory conditioning: a store, a network that is conditioned on it, and what it did."""

import json
import shutil

import attrs
import numpy as np
import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import store_schema
from aios_core.diffusion.model import Model
from aios_core.errors import ConfigError, InferenceError, StorageError, TrainingError
from aios_core.inference import ArrowEngine
from aios_core.inference.masked import Batch
from aios_core.inference.prompts import prompted
from aios_core.inference.settings import Settings
from aios_core.memory import Embedder, Place, open_store, with_embedding_metadata
from aios_core.training import checkpoint
from aios_core.training.trainer import train
from aios_plugins.conditioners._recall import Memories
from aios_plugins.embeddings.hashing import Hashing
from aios_plugins.storage.arrow import Arrow
from aios_plugins.tokenizers.bytes import TrainedBytes

FACTS = {"milk": "the milk is cold", "wine": "the wine is warm", "rain": "rain falls down"}


def fill(place, facts, dim=64):
    provider = Hashing(dim=dim)
    values = {"type": "hashing", "dim": dim}
    schema = with_embedding_metadata(store_schema(dim), provider, values)
    with open_store(place, schema=schema) as store:
        vectors = Embedder(provider).embed(list(facts.values()))
        rows = zip(facts.items(), vectors, strict=True)
        store.add([{"id": key, "text": text, "vector": v} for (key, text), v in rows])


def values(folder, **sections):
    return {
        "dataset": {"type": "file", "path": str(folder / "corpus.txt")},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 2, "heads": 2},
        "diffusion": {"length": 24},
        "training": {"steps": 20, "batch_size": 8, "checkpoint_every": 10},
        "sampler": {"type": "ancestral", "steps": 6},
        "memory": {"k": 2, "store": str(folder / "store"), "dim": 64, "dropout": 0.5},
    } | sections


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    (folder / "corpus.txt").write_text("the milk is cold. the wine is warm. " * 60)
    fill(Place(Arrow(), str(folder / "store")), FACTS)
    patch = pytest.MonkeyPatch()
    patch.setenv("AIOS_CACHE", str(folder / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(resolve(values(folder)), folder / "run", progress=False)
    yield folder
    torch.set_num_threads(threads)
    patch.undo()


@pytest.fixture(scope="module")
def engine(folder):
    return ArrowEngine.load(folder / "run")


def opened(config, place):
    """A store, as where cues come from."""
    return config.conditioner.open(config, TrainedBytes(), place=str(place))


def network(folder, seed=0, **sections):
    config = resolve(values(folder, **sections), overrides=(f"seed={seed}",)).config
    return Model.build(config, TrainedBytes().vocabulary).eval()


def memories_of(rows, k=2, dim=64):
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(rows, k, dim)).astype(np.float32)
    valid = np.ones((rows, k), bool)
    return Memories(vectors, np.full((rows, k), 0.5, np.float32), valid, ((),) * rows)


def test_an_untrained_conditioner_changes_nothing(folder):
    """Bit for bit: neither the weights of the others nor any logit."""
    model, plain = network(folder), network(folder, memory={})
    x, t = torch.randint(0, 256, (3, 24)), torch.full((3,), 0.5).double()

    assert plain.conditioner is None
    assert all(torch.equal(each, model.state_dict()[n]) for n, each in plain.state_dict().items())
    assert torch.equal(plain(x, t), model(x, t))
    assert torch.equal(plain(x, t), model.conditioned(memories_of(3))(x, t))


def test_a_row_that_is_told_of_nothing_is_as_if_there_were_no_memories(folder):
    model = network(folder)
    torch.nn.init.normal_(model.conditioner.layers[0].gate.weight)
    x, t = torch.randint(0, 256, (2, 24)), torch.full((2,), 0.5).double()
    some = memories_of(2).where(np.array([[True], [False]]))
    heard = model.conditioned(some)(x, t)

    assert not torch.allclose(model(x, t)[0], heard[0])
    assert torch.equal(model(x, t)[1], heard[1])
    assert heard.isfinite().all()


def test_memories_that_are_not_valid_are_not_heard(folder):
    model = network(folder)
    torch.nn.init.normal_(model.conditioner.layers[1].gate.weight)
    x, t = torch.randint(0, 256, (2, 24)), torch.full((2,), 0.5).double()
    first_alone = memories_of(2).where(np.array([[True, False]]))
    other = attrs.evolve(
        first_alone, vectors=first_alone.vectors + np.array([[[0.0], [9.0]]], np.float32)
    )

    assert torch.equal(model.conditioned(first_alone)(x, t), model.conditioned(other)(x, t))


def test_every_part_of_the_conditioner_learns(folder):
    model = network(folder)
    for layer in model.conditioner.layers:
        torch.nn.init.normal_(layer.gate.weight)
    x, t = torch.randint(0, 256, (2, 24)), torch.full((2,), 0.5).double()
    model.conditioned(memories_of(2))(x, t).logsumexp(-1).sum().backward()

    assert all(
        parameter.grad is not None and parameter.grad.any()
        for parameter in model.conditioner.parameters()
    )


def test_training_opens_the_gate(engine):
    gates = [layer.gate.weight for layer in engine.models["diffusion"].model.conditioner.layers]

    assert all(gate.any() for gate in gates)


def test_resumed_training_is_told_of_the_same(folder, tmp_path):
    resolved = resolve(values(folder))
    train(resolved, tmp_path / "run", progress=False)
    checkpoints = tmp_path / "run" / "checkpoints"
    shutil.rmtree(checkpoints / "step-000020")  # as if it had been killed after step 10
    (checkpoints / "latest").write_text("step-000010")
    train(resolved, tmp_path / "run", progress=False)
    whole, parts = (checkpoint.load(place / "run").model for place in (folder, tmp_path))

    pairs = zip(whole.parameters(), parts.parameters(), strict=True)
    assert all(torch.equal(pair, other) for pair, other in pairs)


def test_the_output_says_what_was_used(engine):
    output = engine.diffuse("the milk", memory_guided=True, seed=3)
    (used,) = output.memories

    assert ["milk", "wine"] == [each.id for each in used]
    assert "the milk is cold" == used[0].text
    assert used[0].score > used[1].score
    assert all(np.isfinite(each.influence) and each.influence != 0 for each in used)
    assert ((),) == engine.diffuse("the milk", seed=3).memories


def test_influence_is_of_the_tokens_that_were_written(engine):
    """Neither of what was given, nor of what stands behind the end of a text, nor of padding."""
    loaded = engine.models["diffusion"]
    mask_id, ends = loaded.model.vocabulary.mask_id, [18, 9]
    rows = [
        prompted(loaded.tokenizer.encode(prompt).tolist(), expected, mask_id)
        for prompt, expected in (("the milk", 12), ("rain", 6))
    ]
    batch = Batch.of(rows, loaded.model.vocabulary.pad_id, loaded.model.device)
    settings = Settings.of({"memory_guided": True})
    run = engine._plan("diffusion", rows, settings, whole=False)
    memories = run._cues(rows)
    ids = torch.where(batch.fixed, batch.x, 97)
    written = ~batch.fixed & (torch.arange(20) < torch.tensor(ends)[:, None])

    def influence(ids):
        used = run.cues.used(memories, lambda cues: run._score(cues, batch, ids, ends))
        return np.array([[each.influence for each in row] for row in used])

    def said(conditioned):
        denoiser = loaded.model.conditioned(conditioned).denoiser(batch.condition)
        with torch.no_grad():
            log_probs = denoiser(batch.x, torch.ones(2).double()).gather(-1, ids[..., None])
        return log_probs[..., 0].double().where(written, 0.0).sum(-1).numpy()

    without = [said(memories.where(np.array([k == 1, k == 0]))) for k in (0, 1)]
    assert (said(memories) - without).T == pytest.approx(influence(ids), abs=1e-5)
    assert np.array_equal(influence(ids), influence(torch.where(written, ids, 120)))
    for row, place in written.nonzero().tolist():
        other = ids.clone()
        other[row, place] = 120
        changed = influence(other) != influence(ids)
        assert changed[row].any()
        assert not changed[1 - row].any()


def test_rows_have_memories_of_their_own(engine):
    output = engine.diffuse(["rain", "the wine"], memory_guided=True, num_memories=1)

    assert [["rain"], ["wine"]] == [[each.id for each in row] for row in output.memories]


def test_gaps_are_filled_with_memories(engine):
    output = engine.infill("the <mask:3> is warm", memory_guided=True)

    assert "wine" == output.memories[0][0].id


def test_guidance_of_scale_1_is_plain_and_0_is_without_memories(engine):
    settings = {"memory_guided": True, "seed": 7}
    plain = engine.diffuse("the milk", **settings)

    assert plain.texts == engine.diffuse("the milk", guidance_scale=1, **settings).texts
    alone = engine.diffuse("the milk", guidance_scale=0, **settings)
    assert engine.diffuse("the milk", seed=7).texts == alone.texts
    stronger = engine.diffuse("the milk", guidance_scale=3, **settings)
    assert not np.allclose(stronger.log_probs, plain.log_probs)


@pytest.mark.parametrize(
    "sections",
    [
        {"diffusion": {"length": 24, "block_size": 8}},
        {"corruption": {"type": "uniform"}, "backbone": {"type": "transformer", "dim": 32,
         "layers": 1, "heads": 2, "time_conditioned": True}},
    ],
)  # fmt: skip
def test_blocks_and_other_noise_are_told_too(folder, tmp_path, sections):
    resolved = resolve(values(folder, training={"steps": 3, "batch_size": 4}, **sections))
    train(resolved, tmp_path / "run", progress=False)
    (used,) = ArrowEngine.load(tmp_path / "run").diffuse("the milk", memory_guided=True).memories

    assert "milk" == used[0].id
    assert all(np.isfinite(each.influence) for each in used)


def test_streams_end_with_what_was_used(engine):
    *_, last = engine.stream("the milk", memory_guided=True)

    assert "milk" == last.output.memories[0][0].id


def test_another_store(folder, tmp_path):
    fill(Place(Arrow(), str(tmp_path / "other")), {"snow": "snow falls down"})
    engine = ArrowEngine.load(folder / "run", memory=tmp_path / "other")

    assert "snow" == engine.diffuse("rain falls", memory_guided=True).memories[0][0].id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": ""}, "row 0 gives nothing; expected a prompt"),
        ({"prompt": "x", "negative_prompt": "y", "guidance_scale": 2}, "expected one of them"),
        ({"prompt": "x", "num_memories": 0}, "k: expected a number of memories >= 1, got 0"),
        ({"prompt": "x", "condition": {"kk": 1}}, "expected an option of k, got 'kk'"),
        ({"prompt": "x", "memory_guided": "yes"}, "conditioned"),
    ],
)
def test_what_cannot_be_done_is_said(engine, options, message):
    options = {"memory_guided": True, **options}

    with pytest.raises(InferenceError, match=message):
        engine.diffuse(options.pop("prompt"), **options)


def test_num_memories_alone_has_no_effect(engine):
    with pytest.raises(InferenceError, match="condition has no effect without conditioned"):
        engine.diffuse("x", num_memories=3)


def test_a_network_without_conditioner_cannot_be_told(folder, tmp_path):
    train(resolve(values(folder, memory={})), tmp_path / "plain", progress=False)

    with pytest.raises(InferenceError, match=r"trained without cues, .*; expected a run with"):
        ArrowEngine.load(tmp_path / "plain").diffuse("x", memory_guided=True)


def test_a_store_of_other_vectors_is_refused(folder, tmp_path):
    fill(Place(Arrow(), str(tmp_path / "wide")), FACTS, dim=96)

    with pytest.raises(StorageError, match=r"vectors of 96 numbers, and conditioner\.dim is 64"):
        ArrowEngine.load(folder / "run", memory=tmp_path / "wide").diffuse("x", memory_guided=True)


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        ({"k": 2}, r"conditioner: store: is missing; expected the folder of a store, or the type"),
        (
            {"k": 2, "store": "x", "heads": 3},
            "expected a divisor of the backbone's dim = 32, got 3",
        ),
        ({"k": 2, "store": "x", "uri": "y"}, "another place than store"),
        ({"k": -1}, "expected a number >= 1, got -1"),
        ({"store": "x"}, r"conditioner\.k: is missing; expected an integer"),
    ],
)
def test_faults_of_the_configuration_are_told(folder, memory, message):
    with pytest.raises(ConfigError, match=message):
        resolve(values(folder, memory=memory))


def test_other_memories_are_another_training(folder, tmp_path):
    place = Place(Arrow(), str(tmp_path / "store"))
    fill(place, FACTS)
    own = values(folder, memory={"k": 2, "store": place.uri, "dim": 64})
    own["training"] = {"steps": 1, "batch_size": 2}
    train(resolve(own), tmp_path / "run", progress=False)
    with open_store(place) as store:
        store.delete(["rain"])

    with pytest.raises(TrainingError, match="other texts, or memories, than there are now"):
        train(resolve(own), tmp_path / "run", progress=False)


def test_a_fingerprint_knows_content_and_not_order(tmp_path):
    config = resolve(values(tmp_path)).config
    prints = []
    for name, facts in (
        ("a", FACTS),
        ("b", dict(reversed(FACTS.items()))),
        ("c", FACTS | {"rain": "rain falls up"}),
    ):
        fill(Place(Arrow(), str(tmp_path / name)), facts)
        prints.append(opened(config, tmp_path / name).fingerprint())

    assert prints[0] == prints[1] != prints[2]


def test_memory_has_no_part_in_the_twin(folder):
    from aios_core.config import training_key, twin

    conditioned, plain = (resolve(values(folder, memory=m)) for m in ({"k": 2, "store": "s"}, {}))
    assert training_key(conditioned) != training_key(plain)
    assert training_key(twin(conditioned)) == training_key(twin(plain))


def test_from_the_command_line(folder, tmp_path):
    from click.testing import CliRunner

    from aios_core.cli import cli

    arguments = ["sample", str(folder / "run"), "--prompt", "the milk", "--json"]
    result = CliRunner().invoke(
        cli, [*arguments, "--memory", str(folder / "store"), "--guidance-scale", "2"]
    )
    (row,) = json.loads(result.stdout)

    assert ["milk", "wine"] == [memory["id"] for memory in row["memories"]]
    assert {"id", "text", "score", "influence"} == row["memories"][0].keys()


@pytest.fixture
def sample(folder):
    """A function that runs ``aios sample`` of the run, and gives exit code, rows and messages."""
    from click.testing import CliRunner

    from aios_core.cli import cli

    def sample(*options, run="run"):
        result = CliRunner().invoke(cli, ["sample", str(folder / run), "--json", *options])
        rows = json.loads(result.stdout) if result.exit_code == 0 else []
        return result.exit_code, rows, result.stderr

    return sample


def test_the_memories_of_the_run_are_written_with(sample):
    """`conditioner.store` says: and sampling unless another is named."""
    code, (row,), _ = sample("--prompt", "the milk")
    assert (0, ["milk", "wine"]) == (code, [memory["id"] for memory in row["memories"]])
    assert 1 == len(sample("--prompt", "the milk", "--num-memories", "1")[1][0]["memories"])
    assert "wine" == sample("--infill", "the <mask:3> is warm")[1][0]["memories"][0]["id"]
    assert [] == sample("--prompt", "the milk", "--no-memory")[1][0]["memories"]
    assert [] == sample()[1][0]["memories"]  # there is nothing to find any by


def test_memories_are_not_mixed_with_what_excludes_them(sample):
    code, _, message = sample("--prompt", "x", "--negative-prompt", "y", "--guidance-scale", "2")
    assert (2, True) == (code, "add --no-memory" in message)
    assert (
        0
        == sample(
            "--prompt", "x", "--negative-prompt", "y", "--guidance-scale", "2", "--no-memory"
        )[0]
    )
    for other in (["--memory", "x"], ["--num-memories", "1"]):
        code, _, message = sample("--prompt", "x", "--no-memory", *other)
        assert (2, True) == (code, "--no-memory is without memories" in message)


def test_a_moved_store_is_noticed(folder, sample):
    """It is not written as if there were no memories."""
    (folder / "store").rename(folder / "moved")
    try:
        code, _, message = sample("--prompt", "the milk")
        moved = sample("--prompt", "the milk", "--memory", str(folder / "moved"))
        without = sample("--prompt", "the milk", "--no-memory")
    finally:
        (folder / "moved").rename(folder / "store")

    assert 2 == code
    assert "if it was moved. --memory names another store, --no-memory writes without" in message
    assert ["milk", "wine"] == [memory["id"] for memory in moved[1][0]["memories"]]
    assert 0 == without[0]


def test_vectors_of_nobody_knows_whom_are_not_recalled(folder, tmp_path, sample):
    """Fault V5: a run writes out its default embedding, which nobody has chosen."""
    with open_store(Place(Arrow(), str(tmp_path / "own")), schema=store_schema(64)) as store:
        store.add([{"id": "a", "text": "x", "vector": np.ones(64)}])

    code, _, message = sample("--prompt", "the milk", "--memory", str(tmp_path / "own"))
    assert (2, True) == (code, "does not say which embedding made its vectors" in message)
    chosen = resolve(values(folder, embedding={"type": "hashing", "dim": 64})).config
    assert 64 == opened(chosen, tmp_path / "own").recall.embedder.provider.dim


def test_memories_of_another_embedding_than_in_training_are_refused(folder):
    """Fault V5: the network has learned to read vectors of one."""
    loaded = checkpoint.load(folder / "run")
    assert Hashing(64).fingerprint == loaded.state.embedding
    other = attrs.evolve(loaded, state=attrs.evolve(loaded.state, embedding="another"))

    with pytest.raises(StorageError, match="made by another embedding than those that"):
        ArrowEngine({"diffusion": other}).diffuse("the milk", memory_guided=True)


@pytest.mark.parametrize("place", ["sqlite:oops", "postgresql://u:s3cr3t@localhost/db?table=x"])
def test_a_place_of_memories_is_what_it_says(sample, place):
    """Fault N6: also for ``--memory``, before anything is written."""
    code, _, message = sample("--prompt", "the milk", "--memory", place)

    assert 2 == code
    assert "storage backend" in message
    assert "s3cr3t" not in message


def test_a_store_of_training_is_a_folder(folder, tmp_path):
    """Fault N6: ``conditioner.store`` names no type, ``storage.type`` does."""
    named = values(folder, memory={"k": 2, "store": f"{tmp_path}/sqlite:oops", "dim": 64})

    with pytest.raises(StorageError, match=r"under storage\.type what keeps it, as in 'sqlite'"):
        train(resolve(named), tmp_path / "run", progress=False)
