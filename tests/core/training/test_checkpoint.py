from __future__ import annotations

import hashlib
import json
import shutil

import pytest
import torch
from attrs import evolve

from aios_core.config.keys import canonical
from aios_core.contracts import CueSource
from aios_core.diffusion.model import Model
from aios_core.errors import ModelLoadError, TrainingError
from aios_core.files import manifest
from aios_core.training import checkpoint
from aios_core.training.checkpoint import (
    FORMAT,
    State,
    latest,
    load,
    read_state,
    read_tensors,
    save,
)
from aios_core.training.data import prepare
from aios_core.training.held_out import HeldOut
from aios_core.training.trainer import train


@pytest.fixture
def parts():
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1.0)}
    return {"weights": tensors, "ema": tensors, "optimizer": {"a.step": torch.tensor(3.0)}}


def state(step: int = 3) -> State:
    return State(step=step, values={"x": 1}, training_key="k", tokenizer="t", data="d")


def zeros(part):
    return {name: torch.zeros_like(tensor) for name, tensor in part.items()}


def problem(folder, into, part="weights") -> str:
    with pytest.raises(ModelLoadError) as caught:
        read_tensors(folder, read_state(folder), part, into)
    return str(caught.value)


def test_what_was_saved_is_read(tmp_path, parts):
    folder = save(tmp_path, state(), parts)
    into = zeros(parts["weights"])
    read_tensors(folder, read_state(folder), "weights", into)

    assert latest(tmp_path) == folder == tmp_path / "checkpoints" / "step-000003"
    assert read_state(folder).values == {"x": 1}
    assert all(into[name].equal(tensor) for name, tensor in parts["weights"].items())


def test_the_last_two_are_kept_and_leavings_removed(tmp_path, parts):
    (tmp_path / "checkpoints" / ".step-000001.abcd").mkdir(parents=True)
    for step in (1, 2, 999_999, 1_000_000):
        save(tmp_path, state(step), parts)

    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"latest", "step-999999", "step-1000000"}
    assert latest(tmp_path).name == "step-1000000"


def test_a_folder_that_never_became_the_latest_is_written_again(tmp_path, parts):
    save(tmp_path, state(1), parts)
    folder = save(tmp_path, state(2), parts)
    (folder / "weights.safetensors").write_bytes(b"torn")
    (tmp_path / "checkpoints" / "latest").write_text("step-000001")
    save(tmp_path, state(2), parts)
    read_tensors(folder, read_state(folder), "weights", zeros(parts["weights"]))


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json"])
def test_every_truncation_is_told(tmp_path, parts, name):
    folder = save(tmp_path, state(), parts)
    path = folder / name
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        message = problem(folder, zeros(parts["weights"]))
        assert f"{path}: is truncated or changed" in message, size


def test_every_changed_byte_is_told(tmp_path, parts):
    folder = save(tmp_path, state(), parts)
    path = folder / "weights.safetensors"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert f"{path}: is changed" in problem(folder, zeros(parts["weights"]))


def test_a_missing_file_is_told(tmp_path, parts):
    folder = save(tmp_path, state(), parts)
    (folder / "ema.safetensors").unlink()

    assert "ema.safetensors: is missing" in problem(folder, zeros(parts["ema"]), "ema")


@pytest.mark.parametrize(
    ("into", "expected"),
    [
        ({"a": torch.zeros(2, 3)}, "holds 'b', which this model has not"),
        (
            {"a": torch.zeros(2, 3), "b": torch.zeros(()), "c": torch.zeros(1)},
            "lacks the tensor 'c' of this model",
        ),
        (
            {"a": torch.zeros(3, 2), "b": torch.zeros(())},
            "'a' has shape (2, 3); expected (3, 2)",
        ),
        (
            {"a": torch.zeros(2, 3, dtype=torch.float16), "b": torch.zeros(())},
            "'a' is torch.float32; expected torch.float16",
        ),
    ],
)
def test_loading_is_strict(tmp_path, parts, into, expected):
    """T25."""
    folder = save(tmp_path, state(), parts)

    assert expected in problem(folder, into)


def forge(folder, data: bytes) -> None:
    """Put hostile bytes in place of the weights, with the checksum that they ought to have."""
    (folder / "weights.safetensors").write_bytes(data)
    checkpoint.write_state(folder, evolve(read_state(folder), files=manifest(folder)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        (2**62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}" + b"trailing",
        b"\x80\x04\x95 a pickle would begin like this",
    ],
)
def test_hostile_files_are_refused(tmp_path, parts, data):
    folder = save(tmp_path, state(), parts)
    forge(folder, data)

    assert str(folder / "weights.safetensors") in problem(folder, zeros(parts["weights"]))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format": "x"}', "[" * 50_000, '{"format": 1, "step": 1}']
)
def test_damaged_states_are_told(tmp_path, parts, text):
    folder = save(tmp_path, state(), parts)
    (folder / "state.json").write_text(text)

    with pytest.raises(ModelLoadError, match=r"state.json: is truncated or changed"):
        read_state(folder)


def test_a_newer_format_is_told(tmp_path, parts):
    folder = save(tmp_path, state(), parts)
    saved = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**saved, "format": FORMAT + 1, "new": "field"}))

    with pytest.raises(ModelLoadError, match=f"format {FORMAT + 1} by a newer version"):
        read_state(folder)


def test_a_state_of_the_third_format_is_read_and_its_seal_holds(tmp_path, parts):
    """The first that had one, and it says nothing of a past."""
    folder = save(tmp_path, state(), parts)
    saved = json.loads((folder / "state.json").read_text())
    del saved["past"], saved["sha256"]
    saved["format"], saved["values"] = 3, {"diffusion": {}}
    seal = hashlib.sha256(canonical(saved)).hexdigest()
    (folder / "state.json").write_text(json.dumps({**saved, "sha256": seal}))

    assert [] == read_state(folder).past
    assert {"packing": "stream"} == read_state(folder).values["diffusion"]
    (folder / "state.json").write_text(json.dumps({**saved, "step": 4, "sha256": seal}))
    with pytest.raises(ModelLoadError, match="its SHA-256 is not the one"):
        read_state(folder)


def test_a_state_of_the_first_format_is_read(tmp_path, parts):
    folder = save(tmp_path, state(), parts)
    saved = json.loads((folder / "state.json").read_text())
    del saved["best_step"], saved["best_loss"], saved["texts"], saved["sha256"], saved["past"]
    (folder / "state.json").write_text(
        json.dumps({**saved, "format": 1, "values": {"diffusion": {}}})
    )

    assert read_state(folder).best_step is None


@pytest.mark.parametrize("name", ["../../secret", "/etc", "", "step-1\nstep-2", "step-x" * 1000])
def test_the_pointer_leads_nowhere_else(tmp_path, parts, name):
    save(tmp_path, state(), parts)
    (tmp_path / "checkpoints" / "latest").write_text(name)

    with pytest.raises(ModelLoadError, match="expected the name of a checkpoint"):
        latest(tmp_path)


@pytest.mark.parametrize("damaged", ["state.json", "ema.safetensors", "latest"])
def test_the_sound_checkpoint_beside_a_damaged_one_is_named(tmp_path, parts, damaged):
    """Section 4: who was warned of a bad `latest` did not hear what there is to go back to."""
    save(tmp_path, state(3), parts)
    newest = save(tmp_path, state(4), parts)
    (newest.parent if damaged == "latest" else newest).joinpath(damaged).write_text("step-000009")

    def read():
        with checkpoint.going_back(tmp_path):
            result = latest(tmp_path)
            read_tensors(result, read_state(result), "ema", zeros(parts["ema"]))

    sound = "step-000003" if damaged != "latest" else "step-000004"
    with pytest.raises(ModelLoadError, match=f"{sound} beside it is sound"):
        read()


def test_a_run_is_loaded_from_its_folder_or_a_checkpoint(tiny, tmp_path):
    result = train(tiny(), tmp_path / "run", progress=False)
    by_run, by_checkpoint = load(tmp_path / "run"), load(result)

    assert by_run.state == by_checkpoint.state
    assert by_run.state.step == 6
    assert not by_run.model.training
    assert by_run.resolved.values == tiny().values
    for parameter, other in zip(
        by_run.model.parameters(), by_checkpoint.model.parameters(), strict=True
    ):
        assert parameter.equal(other)


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_a_loaded_run_is_as_likely_as_was_told(tiny, tmp_path, mode):
    """T25: weights that are silently not loaded (BD3-LM's issue 31) are those of a new one."""
    resolved = tiny(f"mode={mode}", "training.steps=30", "training.learning_rate=0.01")
    train(resolved, tmp_path / "run", progress=False)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    last = [json.loads(line).get("held_out_loss") for line in lines][-1]
    prepared = prepare(resolved)
    held_out = HeldOut(resolved.config, prepared.held_out, CueSource())
    new = Model.build(resolved.config, prepared.tokenizer.vocabulary)

    assert pytest.approx(last, rel=1e-6) == held_out.loss(load(tmp_path / "run").model)
    assert last < held_out.loss(new) - 0.5


def test_a_checkpoint_of_another_tokenizer_is_told(tiny, tmp_path):
    bpe = ("tokenizer.type=bpe", "tokenizer.vocab_size=270")
    train(tiny(*bpe), tmp_path / "a", progress=False)
    train(tiny(*bpe, "dataset.path=" + str(other(tmp_path))), tmp_path / "b", progress=False)
    shutil.rmtree(tmp_path / "a" / "tokenizer")
    with pytest.raises(ModelLoadError, match="tokenizer"):
        load(tmp_path / "a")
    shutil.copytree(tmp_path / "b" / "tokenizer", tmp_path / "a" / "tokenizer")
    with pytest.raises(ModelLoadError, match=r"is not the tokenizer that .* was trained with"):
        load(tmp_path / "a")


def other(folder):
    path = folder / "other.txt"
    path.write_text("quite another text, again and again. " * 100)
    return path


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(ModelLoadError, match="holds no checkpoint"):
        load(tmp_path / "none")


def test_what_cannot_be_written_is_a_training_error(tmp_path, parts):
    (tmp_path / "checkpoints").write_text("a file where a folder is wanted")

    with pytest.raises(TrainingError, match="cannot be written"):
        save(tmp_path, state(), parts)


def test_the_best_is_kept_however_old_it_is(tmp_path, parts):
    """With the last two, and until a better one comes; only of a run that keeps its best."""

    def names(run):
        return sorted(path.name for path in checkpoint.checkpoints(run))

    for keep, kept in (("best", ["step-000001"]), ("last", [])):
        run = tmp_path / keep
        for step in range(1, 5):
            values = {"training": {"keep": keep}}
            single = evolve(state(step), values=values, best_step=1, best_loss=1.0)
            save(run, single, parts)

        assert [*kept, "step-000003", "step-000004"] == names(run)
        assert (kept or ["step-000004"])[0] == checkpoint.chosen(run).name
    run, values = tmp_path / "best", {"training": {"keep": "best"}}
    save(run, evolve(state(5), values=values, best_step=5), parts)
    assert ["step-000004", "step-000005"] == names(run)
    assert "step-000005" == checkpoint.chosen(run).name


def test_a_damaged_lock_is_told(tiny, tmp_path):
    """What it says the run was made with would be wrong."""
    train(tiny("training.steps=1"), tmp_path / "run", progress=False)
    lock = tmp_path / "run" / "run.lock.toml"
    lock.write_text(lock.read_text().replace("seed = 0", "seed = 1", 1))
    with pytest.raises(ModelLoadError, match=r"run\.lock\.toml: .*writes it again"):
        load(tmp_path / "run")
