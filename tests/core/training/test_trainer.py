from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli_w
import torch
from attrs import evolve, frozen
from safetensors.torch import load_file

from aios_core.config.lock import lock_fault
from aios_core.contracts.tracker import Tracker, Tracking
from aios_core.errors import ModelLoadError, TrainingError
from aios_core.testing.killing import every_instant
from aios_core.training import trainer
from aios_core.training.checkpoint import faults, latest, read_state, write_state
from aios_core.training.data import prepare
from aios_core.training.learner import Step
from aios_core.training.trainer import train


def tensors(checkpoint: Path):
    parts = ("weights", "ema", "optimizer")
    return {part: load_file(checkpoint / f"{part}.safetensors") for part in parts}


def assert_same(first: Path, other: Path):
    """Bit for bit."""
    for part, expected in tensors(first).items():
        got = tensors(other)[part]
        assert expected.keys() == got.keys()
        for name, tensor in expected.items():
            assert tensor.equal(got[name]), (part, name)


def steps(folder: Path) -> list[int]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_run_leaves_what_it_promises(tiny, tmp_path):
    folder = tmp_path / "deep" / "run"
    kept = train(tiny("training.log_every=2"), folder, progress=False)

    assert kept == latest(folder) == folder / "checkpoints" / "step-000006"
    assert {path.name for path in folder.iterdir()} == {
        "checkpoints",
        "metrics.jsonl",
        "run.lock.toml",
        "tokenizer",
    }
    assert steps(folder) == [2, 4, 6]
    record = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert record.keys() == {"step", "loss", "learning_rate", "grad_norm", "tokens_per_second"}


def test_what_is_recorded_is_the_mean_of_the_steps_since(tiny, tmp_path):
    """Loss and norm of the gradient; the learning rate is that of the last of them."""
    records = {}
    for every in (1, 3):
        folder = tmp_path / str(every)
        train(tiny(f"training.log_every={every}"), folder, progress=False)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        records[every] = [json.loads(line) for line in lines]
    assert [3, 6] == [record["step"] for record in records[3]]
    for number, record in enumerate(records[3]):
        steps_ = records[1][3 * number : 3 * number + 3]
        assert len({step["loss"] for step in steps_}) == 3
        for name in ("loss", "grad_norm"):
            assert pytest.approx(sum(step[name] for step in steps_) / 3) == record[name]
        assert steps_[-1]["learning_rate"] == record["learning_rate"]


def test_a_finished_run_is_not_trained_again(tiny, tmp_path):
    kept = train(tiny(), tmp_path, progress=False)
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.safetensors")}

    assert kept == train(tiny(), tmp_path, progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in kept.glob("*.safetensors")}


def test_settings_of_an_evaluation_are_brought_up_to_date(tiny, tmp_path):
    train(tiny(), tmp_path, progress=False)
    kept = train(tiny("sampler.steps=3"), tmp_path, progress=False)

    assert read_state(kept).values["sampler"]["steps"] == 3


@frozen
class Stop(Tracker):
    """Sends a signal to this process when a step is logged."""

    step: int
    signal: signal.Signals = signal.SIGINT

    def start(self, folder, config, *, step=0):
        return Stopping(self)


@frozen
class Stopping(Tracking):
    stop: Stop

    def log(self, values, step):
        if step == self.stop.step:
            os.kill(os.getpid(), self.stop.signal)

    def finish(self):
        pass


def stopping(resolved, *args):
    return evolve(resolved, config=evolve(resolved.config, trackers=(Stop(*args),)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_loses_nothing(tiny, tmp_path, number, caplog):
    resolved = tiny("training.log_every=1", "training.checkpoint_every=100")
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train(stopping(resolved, 3, number), tmp_path / "stopped", progress=False)

    assert signal.getsignal(number) == before
    assert "goes on from there" in caplog.text
    assert read_state(latest(tmp_path / "stopped")).step == 4, "the step that was under way"
    again = train(resolved, tmp_path / "stopped", progress=False)
    assert_same(train(resolved, tmp_path / "whole", progress=False), again)


def test_a_signal_in_the_last_step_is_heard_too(tiny, tmp_path):
    resolved = tiny("training.log_every=1")
    with pytest.raises(KeyboardInterrupt):
        train(stopping(resolved, 6), tmp_path, progress=False)

    assert read_state(latest(tmp_path)).step == 6


def test_trains_outside_the_main_thread(tiny, tmp_path):
    thread = threading.Thread(target=train, args=(tiny(), tmp_path), kwargs={"progress": False})
    thread.start()
    thread.join()

    assert latest(tmp_path).name == "step-000006"


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_going_on_from_any_checkpoint_ends_the_same(tiny, tmp_path, mode, optimizer):
    settings = ("training.checkpoint_every=2", "backbone.dropout=0.1", "lr_schedule.type=wsd")
    resolved = tiny(f"mode={mode}", f"optimizer.type={optimizer}", *settings)
    whole = train(resolved, tmp_path / "whole", progress=False)
    middle = train(resolved, tmp_path / "again", progress=False).with_name("step-000004")
    (middle.parent / "latest").write_text(middle.name)

    assert_same(whole, train(resolved, tmp_path / "again", progress=False))


def test_a_run_of_before_optimizers_could_be_chosen_goes_on(tiny, tmp_path):
    """Its configuration names none, and its checkpoint holds what AdamW remembers."""
    whole = train(tiny(), tmp_path / "whole", progress=False)
    middle = train(tiny(), tmp_path / "old", progress=False).with_name("step-000003")
    state = read_state(middle)
    unnamed = {"optimizer", "lr_schedule"}
    values = {key: value for key, value in state.values.items() if key not in unnamed}
    assert len(state.values) - 2 == len(values)
    write_state(middle, evolve(state, values=values))
    (middle.parent / "latest").write_text(middle.name)
    kinds = {name.rpartition(".")[2] for name in tensors(middle)["optimizer"]}

    assert {"step", "exp_avg", "exp_avg_sq"} == kinds
    assert_same(whole, train(tiny(), tmp_path / "old", progress=False))


def test_metrics_of_steps_that_were_lost_are_dropped(tiny, tmp_path):
    resolved = tiny("training.log_every=1")
    kept = train(resolved, tmp_path, progress=False)
    (kept.parent / "latest").write_text("step-000003")
    train(resolved, tmp_path, progress=False)

    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_another_configuration_is_refused_and_nothing_touched(tiny, tmp_path):
    train(tiny(), tmp_path, progress=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for override in ("seed=1", "training.steps=5", "backbone.dim=48", "noise.type=cosine"):
        expected = "training.steps: 6" if "steps" in override else "holds a run of another config"
        with pytest.raises(TrainingError, match=expected):
            train(tiny(override), tmp_path, progress=False)

    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_other_texts_are_refused(tiny, tmp_path, corpus):
    train(tiny(), tmp_path / "run", progress=False)
    corpus.write_text(corpus.read_text() + "one more line\n")

    with pytest.raises(TrainingError, match="was trained on other texts"):
        train(tiny(), tmp_path / "run", progress=False)


def test_a_project_may_be_moved(tiny, tmp_path, corpus):
    train(tiny(), tmp_path / "run", progress=False)
    moved = corpus.rename(tmp_path / "moved.txt")

    train(tiny(f"dataset.path={moved}"), tmp_path / "run", progress=False)


def test_a_folder_is_trained_in_by_one_process(tiny, tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(TrainingError, match="another process is training here"):
            train(tiny(), tmp_path, progress=False)
    finally:
        os.close(descriptor)


def test_a_damaged_checkpoint_is_told_and_kept(tiny, tmp_path):
    resolved = tiny()
    kept = train(resolved, tmp_path, progress=False).with_name("step-000003")
    (kept.parent / "latest").write_text(kept.name)
    path = kept / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ModelLoadError, match=r"optimizer.safetensors: is truncated"):
        train(resolved, tmp_path, progress=False)
    assert kept.exists()


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tiny, tmp_path):
    wild = tiny(
        "training.learning_rate=1e30",
        "training.clip_norm=1e30",
        "training.checkpoint_every=1",
        "training.warmup_steps=0",
    )
    with pytest.raises(TrainingError, match=r"step \d: the loss is .* learning rate") as caught:
        train(wild, tmp_path, progress=False)

    kept = latest(tmp_path)
    assert str(caught.value).endswith(f"{kept} is kept")
    assert all(tensor.isfinite().all() for tensor in load_file(kept / "ema.safetensors").values())


def test_a_loss_that_is_not_finite_before_any_checkpoint(tiny, tmp_path):
    wild = tiny("training.learning_rate=1e30", "training.clip_norm=1e30")
    with pytest.raises(TrainingError, match="no checkpoint was written yet"):
        train(wild, tmp_path, progress=False)


@pytest.mark.parametrize("where", ["checkpoints", "tokenizer"])
def test_a_file_where_a_folder_is_wanted(tiny, tmp_path, where):
    (tmp_path / where).write_text("something else")

    with pytest.raises((TrainingError, ModelLoadError), match="Not a directory"):
        train(tiny(), tmp_path, progress=False)


@contextmanager
def full_disk(size: int):
    """Files cannot grow beyond a size: writing fails in the middle, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_no_more_than_the_steps_since_the_last_checkpoint(tiny, tmp_path):
    resolved = tiny("training.log_every=1")
    with pytest.raises(KeyboardInterrupt):
        train(stopping(resolved, 3), tmp_path / "full", progress=False)
    kept = latest(tmp_path / "full")
    with full_disk(50_000), pytest.raises(TrainingError, match="the one before is kept"):
        train(resolved, tmp_path / "full", progress=False)

    assert latest(tmp_path / "full") == kept
    assert {path.name for path in kept.parent.iterdir()} == {"step-000003", kept.name, "latest"}
    again = train(resolved, tmp_path / "full", progress=False)
    assert_same(train(resolved, tmp_path / "whole", progress=False), again)


CHILD = """
import logging, sys
from pathlib import Path
import torch
from aios_core.config import load
from aios_core.training.trainer import train
from aios_core.training.yardsticks import yardsticks

torch.set_num_threads(1)
logging.basicConfig(level=logging.INFO, format="%(message)s")
train(load(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_run_ends_as_one_that_was_not(tiny, tmp_path):
    resolved = tiny("training.steps=400", "training.checkpoint_every=30", "training.log_every=1")
    config = tmp_path / "config.toml"
    config.write_text(tomli_w.dumps(resolved.values))
    command = [sys.executable, "-c", CHILD, config, tmp_path / "killed"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        for line in child.stderr:
            if "step 120 of 400" in line:
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    assert 90 <= read_state(latest(tmp_path / "killed")).step < 400

    again = train(resolved, tmp_path / "killed", progress=False)
    assert_same(train(resolved, tmp_path / "whole", progress=False), again)
    assert steps(tmp_path / "killed") == list(range(1, 401))


@pytest.mark.slow
def test_a_run_killed_at_any_instant_goes_on_and_leaves_no_litter(tiny, tmp_path):
    """Fault N7: what is there is sound at any time, and ends as if nothing had happened."""
    resolved = tiny("training.checkpoint_every=2")
    prepared = prepare(resolved)
    whole = train(resolved, tmp_path / "whole", prepared=prepared, progress=False)

    def work():
        train(resolved, folder, prepared=prepared, progress=False)

    folder = tmp_path / "0"
    for number in every_instant(work, 40, step=3):
        if (folder / "checkpoints").exists():
            assert latest(folder) is None or not faults(latest(folder)), number
            assert lock_fault(folder / "run.lock.toml") is None
        again = train(resolved, folder, prepared=prepared, progress=False)
        assert_same(whole, again)
        assert not list(folder.rglob(".*")), number
        folder = tmp_path / str(number)


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from aios_core.config import load
from aios_core.errors import TrainingError
from aios_core.training.trainer import train
from aios_core.training.yardsticks import yardsticks

resolved = load(sys.argv[1], overrides=sys.argv[3:])
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 600_000_000,) * 2)
try:
    train(resolved, Path(sys.argv[2]), progress=False)
except TrainingError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["training.batch_size=60000"], "training.batch_size = 60000 x diffusion.length = 16"),
        (["backbone.dim=40000"], "the network with its optimizer: there is not enough memory"),
    ],
)
def test_memory_that_runs_out_says_what_to_make_smaller(tiny, tmp_path, overrides, expected):
    """Fault D7: by the real allocator, under a limit."""
    config = tmp_path / "config.toml"
    config.write_text(tomli_w.dumps(tiny().values))
    command = [sys.executable, "-c", OUT_OF_MEMORY, config, tmp_path / "run", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert expected in done.stdout, done.stderr
    assert "use a smaller " in done.stdout
    assert ("no checkpoint was written yet" in done.stdout) == ("batch_size" in expected)


def test_a_folder_without_a_name_in_utf_8_is_refused_before_any_work(tiny, tmp_path):
    """Fault N14: tensors could be written there and not be read."""
    folder = tmp_path / "n\udcff"
    with pytest.raises(TrainingError, match="expected the name of a folder in UTF-8"):
        train(tiny(), folder, progress=False)

    assert not folder.exists()


def test_what_is_recorded_of_several_steps(tiny, monkeypatch):
    """Means, the last learning rate, and tokens of all of them by the time that they took."""
    config = tiny("training.accumulate=2").config
    loop = object.__new__(trainer._Loop)
    loop._config, loop._since = config, 10.0
    loop._learner = SimpleNamespace(tokens=config.diffusion.length)
    low, high = (torch.tensor(number) for number in (1.0, 4.0))
    loop._steps = [Step(1, low, 0.1, high), Step(2, high, 0.2, low), Step(3, high, 0.3, high)]
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: 12.0))
    means = loop._means()

    assert means == {
        "loss": 3.0,
        "learning_rate": 0.3,
        "grad_norm": 3.0,
        "tokens_per_second": 4 * 2 * 16 * 3 / 2,
    }
    assert (loop._since, loop._steps) == (12.0, [])
