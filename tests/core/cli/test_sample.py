from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.cli.sample import infilling, prompted
from aios_core.cli.watch import frame, printable
from aios_core.config import resolve, twin
from aios_core.diffusion.core import State
from aios_core.errors import InferenceError
from aios_core.experiment.sampling import sample as evaluate
from aios_core.training.checkpoint import load
from aios_core.training.trainer import train
from aios_plugins.tokenizers.bytes import TrainedBytes

MAIN = "from aios_core.cli import main; main()"


@pytest.fixture(scope="module", autouse=True)
def run(tmp_path_factory):
    """A diffusion model, hardly trained, with its twin."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    patch = pytest.MonkeyPatch()
    patch.setenv("AIOS_CACHE", str(folder / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    resolved = resolve(
        {
            "dataset": {"type": "file", "path": str(folder / "corpus.txt")},
            "tokenizer": {"type": "bytes"},
            "backbone": {"type": "transformer", "dim": 32, "layers": 1, "heads": 2},
            "diffusion": {"length": 16},
            "training": {"steps": 6, "batch_size": 4},
            "sampler": {"type": "ancestral", "steps": 4},
            "sampling": {"num_samples": 3, "batch_size": 2},
        }
    )
    train(resolved, folder / "run", progress=False)
    train(twin(resolved), folder / "run" / "twin", progress=False)
    yield folder / "run"
    torch.set_num_threads(threads)
    patch.undo()


def aios(*arguments, code=0):
    result = CliRunner().invoke(cli, ["sample", *map(str, arguments)])
    assert code == result.exit_code, result.output
    return result


def texts(*arguments):
    return [one["text"] for one in json.loads(aios(*arguments, "--json").stdout)]


def test_one_text_is_printed_alone(run):
    (text,) = texts(run)

    assert aios(run).stdout == text + "\n"


def test_several_are_told_apart(run):
    shown = aios(run, "--num", 3).stdout

    assert [f"--- {n} of 3, seed 0" in shown for n in (1, 2, 3)] == [True] * 3
    assert len(set(texts(run, "--num", 3))) == 3


def test_samples_are_those_of_the_evaluation(run):
    found = load(run)
    expected = evaluate(found.resolved.config, found.model, found.tokenizer).samples.texts

    assert list(expected) == texts(run, "--num", 3)


def test_seeds_decide(run):
    assert texts(run, "--seed", 5) == texts(run, "--seed", 5)
    assert texts(run, "--seed", 5) != texts(run, "--seed", 6)


def test_settings_of_the_sampler_may_change(run):
    one, other = (
        texts(run, "--set", f"sampler.type={name}") for name in ("ancestral", "confidence")
    )

    assert one != other


@pytest.mark.parametrize("sampler", ["ancestral", "confidence", "first-hitting"])
def test_prompts_and_texts_around_gaps_stay(run, sampler):
    """T14."""
    settings = ("--set", f"sampler.type={sampler}", "--num", 2)

    for text in texts(run, "--prompt", "milk ", "--length", 12, *settings):
        assert text.startswith("milk ")
    for text in texts(run, "--infill", "milk <mask:2> and ___.", "--gap", 3, *settings):
        assert text.startswith("milk ")
        assert " and " in text
        assert text.endswith(".")


def test_gaps():
    tokenizer, mask = TrainedBytes(), 256
    row = infilling(tokenizer, "a<mask>b<mask:1>____c__", 2)

    assert row.ids == [97, mask, mask, 98, mask, mask, mask, *b"c__"]
    assert row.fixed == [one != mask for one in row.ids]
    assert prompted(tokenizer, "", 2).ids == [mask, mask]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--infill", "no gap"), "has no gap"),
        (("--infill", ""), "has no gap"),
        (("--infill", "x<mask:0>"), "has no gap"),
        (("--infill", "___", "--length", "3"), "leave --prompt and --length"),
        (("--prompt", "as long as it", "--length", "13"), "the prompt has 13 tokens"),
        (("--num", "0"), "--num"),
        (("--set", "backbone.dim=48"), "[sampler] and [sampling] only"),
        (("--set", "sampler.steps=0"), "sampler.steps"),
    ],
)
def test_what_cannot_be_done(run, arguments, expected):
    assert expected in aios(run, *arguments, code=2).stderr


def test_a_prompt_longer_than_the_text_is_an_error_of_inference():
    with pytest.raises(InferenceError):
        prompted(TrainedBytes(), "abc", 3)


def test_an_autoregressive_run_is_told(run):
    assert "is an autoregressive model" in aios(run / "twin", code=2).stderr


def test_a_folder_without_a_run(tmp_path):
    assert "holds no checkpoint" in aios(tmp_path, code=2).stderr


def test_frames_show_what_is_new():
    tokenizer = TrainedBytes()
    ids = torch.tensor([[97, 256, 256, 98, 99, 27]])
    state = State(
        step=2,
        nfe=2,
        ids=ids,
        committed=torch.tensor([[False, False, False, False, True, False]]),
        confidence=torch.ones(1, 6),
        committed_at=torch.tensor([[0, -1, -1, 1, 2, 1]]),
    )
    text = frame(tokenizer, state)

    assert text.plain == "a░░bc\ufffd"
    assert [
        text.plain[span.start : span.end] for span in text.spans if "green" in str(span.style)
    ] == ["c"]


def test_terminals_are_safe_from_young_networks():
    assert printable("a\x1b[2J\tä\n\x07") == "a\ufffd[2J\tä\n\ufffd"


def test_watching_is_silent_without_a_terminal(run):
    assert aios(run, "--watch").stdout == aios(run).stdout


@pytest.mark.slow
def test_watching_draws_every_step(run):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", MAIN, "sample", run, "--watch"]
    environ = {**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environ) as child:
        os.close(theirs)
        drawn = b""
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            try:
                while part := terminal.read(4096):
                    drawn += part
            except OSError:  # Linux says so when the other side is closed
                pass
    assert child.returncode == 0
    assert all(f"step {step}," in drawn.decode() for step in range(5))
