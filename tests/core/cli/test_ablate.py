"""`aios ablate`, `aios report` and `aios evaluate`, in processes of their own as users run them."""

import json
import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from aios_core.cli import cli

WORDS = "".join(f"{n} bottles of milk on the wall, {n} bottles of milk.\n" for n in range(120))
TOML = """
name = "tiny"
dataset = { type = "file", path = "corpus.txt" }
tokenizer = { type = "bytes" }
backbone = { dim = 32, layers = 1, heads = 2 }
diffusion = { length = 16 }
training = { steps = 12, batch_size = 4, warmup_steps = 2, log_every = 1 }
sampling = { num_samples = 4 }
evaluation = { max_tokens = 400, draws = 1 }
executor = { type = "processes", workers = 1 }

[ablate]
"sampler.steps" = [2, 4]
seed = [0]
"""
SERIAL = ("--set", "executor={type='serial'}")
AIOS = [sys.executable, "-c", "from aios_core.cli import main; main()"]


@pytest.fixture
def aios(tmp_path, monkeypatch):
    """A function that runs ``aios`` in a folder with a configuration; returns its process."""
    (tmp_path / "corpus.txt").write_text(WORDS, encoding="utf-8")
    (tmp_path / "tiny.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(*arguments, **changes):
        return subprocess.run(
            [*AIOS, *arguments],
            cwd=tmp_path,
            env=os.environ | changes,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def here(aios, tmp_path, monkeypatch):
    """The same in this process, which has torch already: a second of processor time, not five."""
    monkeypatch.chdir(tmp_path)
    yield lambda *arguments: CliRunner().invoke(cli, arguments)
    for handler in list(logging.getLogger().handlers):
        if type(handler).__module__ == "aios_core.logs":
            logging.getLogger().removeHandler(handler)


@pytest.fixture
def started(aios, tmp_path):
    """A function that starts ``aios ablate`` as a terminal does, in a process group of its own."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [*AIOS, "ablate", "tiny.toml", "--output", "out", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(process, ready):
    """Wait until something is there that a running process makes; returns it."""
    while not (result := ready()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return result


def test_dry_run_writes_nothing(here, tmp_path):
    done = here("ablate", "tiny.toml", "--output", "out", "--dry-run")

    assert 0 == done.exit_code, done.stderr
    assert (
        "2 trials in 2 arms, sharing 2 trainings (1 autoregressive twin among them)" in done.stdout
    )
    assert "to do: 2 trainings, 2 trials; folder: out" in done.stdout
    assert not (tmp_path / "out").exists()


def test_dry_run_as_json(here):
    plan = json.loads(here("ablate", "tiny.toml", "--dry-run", "--json").stdout)

    assert ("runs/tiny", 2, 2) == (plan["folder"], plan["trainings"], plan["trainings_missing"])
    assert [{"sampler.steps": 2, "seed": 0}, {"sampler.steps": 4, "seed": 0}] == [
        trial["settings"] for trial in plan["trials"]
    ]


def test_quantizers_share_their_trainings(here):
    grid = """ablate."quantizer.type"=["none","rtn","arrow"]"""
    done = here("ablate", "tiny.toml", "--set", grid, "--dry-run")

    assert "6 trials in 6 arms, sharing 2 trainings (1 autoregressive" in done.stdout
    assert "to do: 2 trainings, 6 trials" in done.stdout


def test_mistake_in_the_grid(here):
    done = here("ablate", "tiny.toml", "--set", "ablate.'sampler.steps'=[0]")

    assert 2 == done.exit_code
    assert "sampler.steps: expected a number >= 1" in done.stderr.replace("'", "")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_from_a_file_to_a_report_and_back(aios, here, tmp_path):
    done = aios("ablate", "tiny.toml", "--output", "out")
    assert 0 == done.returncode, done.stderr
    out = tmp_path / "out"
    expected = {"report.html", "table.md", "table.csv", "trials.parquet", "trials", "models"}
    assert expected <= {path.name for path in out.iterdir()}

    again = here("ablate", "tiny.toml", "--output", "out", "--json")
    assert {"trials": 2, "failed": {}} == {
        key: json.loads(again.stdout)[key] for key in ("trials", "failed")
    }

    (out / "report.html").unlink()
    assert 0 == here("report", "out").exit_code
    assert (out / "report.html").exists()

    (model,) = {path.parent.parent for path in out.glob("models/*/checkpoints/latest")} - {
        path.parent.parent
        for path in out.glob("models/*/checkpoints/latest")
        if 'mode = "ar"' in (path.parent.parent / "run.lock.toml").read_text()
    }
    report = json.loads(here("evaluate", str(model), "--set", "sampler.steps=1", "--json").stdout)
    assert 1 == report["samples"]["nfe"]
    assert {"nelbo", "nelbo_bpb", "bits_per_weight"} == set(report["model"]["metrics"])
    assert {"nll", "nll_bpb", "bits_per_weight"} == set(report["twin"]["metrics"])
    refused = here("evaluate", str(model), "--set", "training.steps=99")
    assert 2 == refused.exit_code
    assert "another training" in refused.stderr


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(here, started, tmp_path):
    longer = ("--set", "training.steps=400", "--set", "training.checkpoint_every=400")
    longer = (*longer, "--set", "executor.workers=2")
    process = started(*longer)
    records = wait_for(
        process,
        lambda: len(results := list(tmp_path.glob("out/models/*/metrics.jsonl"))) == 2 and results,
    )
    firsts = {path: wait_for(process, path.read_text).splitlines()[0] for path in records}

    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=120)

    assert 130 == process.returncode, stderr
    assert "the same command goes on" in stderr
    assert "Traceback" not in stderr
    assert 2 == len(list(tmp_path.glob("out/models/*/checkpoints/latest")))

    done = here("ablate", "tiny.toml", "--output", "out", *longer, *SERIAL)
    assert 0 == done.exit_code, done.stderr
    for path, first in firsts.items():
        lines = path.read_text().splitlines()
        assert first == lines[0]  # its speed is given to many digits: not trained anew
        assert 400 == len(lines)


@pytest.mark.slow
def test_killed_run_goes_on(here, started, tmp_path):
    steps = ("--set", "ablate.'sampler.steps'=[1, 2, 4, 8]", "--set", "evaluation.twin=false")
    process = started(*steps)
    (first, *_) = wait_for(process, lambda: list(tmp_path.glob("out/trials/*/result.json")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = first.stat().st_mtime_ns

    done = here("ablate", "tiny.toml", "--output", "out", *steps, *SERIAL)

    assert 0 == done.exit_code, done.stderr
    assert before == first.stat().st_mtime_ns
    assert 4 == len(list(tmp_path.glob("out/trials/*/result.json")))


KILLER = """
    import os
    import signal
    import aios_core
    from aios_core.contracts import StepSampler
    from attrs import frozen

    AIOS_API = 1

    @frozen
    class Killer(StepSampler):
        "Kills its process, as the kernel does when memory runs out."
        exact = "never"

        def step(self, x, t, s, log_probs, context):
            os.kill(os.getpid(), signal.SIGKILL)

    @aios_core.hookimpl
    def aios_samplers():
        return {"killer": Killer}
"""


@pytest.mark.slow
def test_killed_trial_is_reported_and_the_exit_code_is_1(aios, tmp_plugin, tmp_path):
    tmp_plugin(KILLER, module="killer_sampler")
    grid = 'ablate."sampler.type"=["killer", "ancestral"]'

    done = aios("ablate", "tiny.toml", "--output", "out", "--set", grid)

    assert 1 == done.returncode, done.stderr
    assert "killed by SIGKILL" in done.stdout
    report = (tmp_path / "out" / "report.html").read_text()
    assert "killed by SIGKILL" in report
    assert "2 trials done, 2 failed" in done.stdout
