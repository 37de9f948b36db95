from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
import torch
from attrs import fields_dict
from click.testing import CliRunner

from aios_core.cli import cli
from aios_core.cli.sample import command
from aios_core.cli.watch import frame, printable
from aios_core.config import resolve, twin
from aios_core.experiment.evaluate import evaluate_run
from aios_core.inference import Update
from aios_core.inference.settings import Settings
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
            "diffusion": {"length": 17},  # with the begin token
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
    return [row["text"] for row in json.loads(aios(*arguments, "--json").stdout)]


def test_one_text_is_printed_alone(run):
    (text,) = texts(run)

    assert aios(run).stdout == text + "\n"


def test_several_are_told_apart(run):
    shown = aios(run, "--num", 3).stdout

    assert [f"--- {n} of 3, seed 0" in shown for n in (1, 2, 3)] == [True] * 3
    assert len(set(texts(run, "--num", 3))) == 3


def test_samples_are_those_of_the_evaluation(run):
    parts = evaluate_run(run, overrides=["evaluation.twin=false"])["samples"]["texts"]
    expected = ["".join(part for part in text if isinstance(part, str)) for text in parts]

    shown = texts(run, "--num", 3)
    # Ours end with the text; an evaluation measures all that was sampled.
    assert [True] * 3 == [each.startswith(two) for each, two in zip(expected, shown, strict=True)]
    assert expected[0] == shown[0]


def test_seeds_decide(run):
    assert texts(run, "--seed", 5) == texts(run, "--seed", 5)
    assert texts(run, "--seed", 5) != texts(run, "--seed", 6)


def test_settings_of_the_sampler_may_change(run):
    first, other = (
        texts(run, "--set", f"sampler.type={name}") for name in ("ancestral", "confidence")
    )

    assert first != other


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("prompts.txt", "milk \n\nand ___\r\n"),
        ("prompts.jsonl", '{"text": "milk "}\n{"text": "and ___", "n": 2}\n'),
    ],
)
def test_prompts_of_a_file(run, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    several = texts(run, "--prompts", tmp_path / name, "--num", 2, "--seed", 3)

    assert [True] * 4 == [
        text.startswith(prompt)
        for text, prompt in zip(several, ["milk "] * 2 + ["and ___"] * 2, strict=True)
    ]
    # The same seeds as rows of one prompt have.
    assert several[:2] == texts(run, "--prompt", "milk ", "--num", 2, "--seed", 3)
    lines = aios(run, "--prompts", tmp_path / name, "--stream", "--json").stdout.splitlines()
    assert 2 == len(json.loads(lines[-1])["samples"])


@pytest.mark.parametrize(
    ("content", "arguments", "expected"),
    [
        ("\n \n", (), "prompts.txt: holds no text; expected a prompt a line"),
        ("milk\n" + "x" * 20, (), "prompts.txt:2: the text has 20 tokens and samples have 16"),
        ("milk\nmilk milk", ("--length", 9), "prompts.txt:2: the text has 9 tokens and samples h"),
        (b"milk\n\xff\xfe\xfd", (), "prompts.txt"),
        ("milk", ("--prompt", "x"), "leave --prompt"),
        ("milk", ("--infill", "___"), "leave --prompt, --prompts and --length"),
        ("milk", ("--stream",), "leave --num and --prompts, or add --json"),
    ],
)
def test_prompts_that_cannot_be_continued(run, tmp_path, content, arguments, expected):
    file = tmp_path / "prompts.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert expected in aios(run, "--prompts", file, *arguments, code=2).stderr


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


def test_token_controls_and_steps(run):
    """As in the engine: the mean of what may be drawn, and how often the network is asked."""
    arguments = ("--suppress-token", 97, "--suppress-token", 98, "--ignore-eos", "--json")
    controls = ("--temperature", 0.9, "--top-k", 40, "--top-p", 0.95, "--min-p", 0.001)
    calm = ("--repetition-penalty", 1.1, "--sampler", "confidence", "--steps", 3)
    (row,) = json.loads(aios(run, *arguments, *controls, *calm).stdout)

    assert not {97, 98} & set(row["token_ids"])
    assert 3 == row["nfe"]
    assert 16 == len(row["token_ids"]) == len(row["log_probs"]) == len(row["uncertainty"])
    assert "length" == row["finish_reason"]
    assert row["seconds"] > 0


def test_what_is_written_obeys(run, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "array", "items": {"type": "boolean"}, "minItems": 1}')

    for mode in ("ar", "diffusion"):
        (text,) = texts(run, "--json-schema", schema, "--mode", mode)
        assert all(isinstance(value, bool) for value in json.loads(text))
        (text,) = texts(run, "--regex", "(ab|c)+", "--mode", mode)
        assert re.fullmatch("(ab|c)+", text)
        assert [text] == texts(run, "--constraint", "regex:(ab|c)+", "--mode", mode)


def test_zero_is_not_nothing(run):
    """Without temperature a seed decides nothing that the sampler leaves to the network."""
    cold = ("--temperature", 0, "--block-size", 1)

    assert texts(run, *cold, "--seed", 1) == texts(run, *cold, "--seed", 2)


def test_blocks_caches_and_guidance(run):
    blocks = ("--block-size", 4, "--sampler", "threshold")

    assert texts(run, *blocks) == texts(run, *blocks, "--cache", "none")
    assert 1 == len(texts(run, *blocks, "--cache", "dual"))
    plain, guided, away = (
        json.loads(aios(run, "--prompt", "milk", "--json", "--length", 12, *more).stdout)[0]
        for more in ((), ("--guidance-scale", 3), ("--guidance-scale", 3, "--negative-prompt", "x"))
    )
    assert plain["log_probs"] != guided["log_probs"] != away["log_probs"]


@pytest.mark.parametrize("mode", ["ar", "diffusion"])
def test_streams_end_in_the_text(run, mode):
    arguments = (run, "--prompt", "milk ", "--mode", mode)
    (expected,) = texts(*arguments)

    assert expected + "\n" == aios(*arguments, "--stream").stdout
    lines = [
        json.loads(line)
        for line in aios(*arguments, "--stream", "--json").stdout.split("\n")
        if line
    ]
    assert list(range(len(lines) - 1)) == [line["step"] for line in lines[:-1]]
    assert expected == "milk " + "".join(line["deltas"][0] for line in lines)
    assert [expected] == [sample["text"] for sample in lines[-1]["samples"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--steps", "0"), "--steps"),
        (("--steps", "-3"), "--steps"),
        (("--sampler", "ancestal"), "ancestal"),
        (("--sampler", "threshold", "--steps", "3"), "has no number of steps"),
        (("--mode", "ar", "--steps", "3"), "autoregressive generation does not support it"),
        (("--mode", "ar", "--cache", "dual"), "autoregressive generation does not support it"),
        (("--cache", "dual"), "expected a --block-size as well"),
        (("--cache", "all"), "--cache"),
        (("--top-p", "0"), "--top-p"),
        (("--temperature", "-1"), "--temperature"),
        (("--suppress-token", "9999"), "9999 is not a token"),
        (("--regex", "("), "a group is not closed"),
        (("--regex", "a{30}"), "no text of at most 16 tokens"),
        (("--regex", "a", "--json-schema", __file__), "--json-schema"),
        (("--json-schema", "/nowhere.json"), "/nowhere.json"),
        (("--constraint", "[a-z]"), "--constraint"),
        (("--constraint", "regx:a"), "regex"),
        (("--constraint", "regex:a", "--regex", "a"), "regex and constraint contradict each other"),
        (("--guidance-scale", "2"), "a row is fully masked"),
        (
            ("--prompt", "x", "--negative-prompt", "y"),
            "--negative-prompt has no effect without a --guidance-scale",
        ),
        (("--stream", "--infill", "___"), "leave --infill and --watch"),
        (("--stream", "--watch"), "leave --infill and --watch"),
        (("--stream", "--num", "2"), "leave --num"),
        (("--set", "sampling.cache='dual'"), "expected a block_size as well"),
        (("--infill", "no gap"), "has no gap"),
        (("--infill", ""), "has no gap"),
        (("--infill", "x<mask:9999999>"), "<mask:9999999> at character 1: expected a gap of 1 to "),
        (("--infill", "<mask:" + "9" * 5000 + ">"), "at character 0: expected a gap of 1 to "),
        (("--infill", "<mask:two>"), "expected a gap of 1 to 16 tokens, got two"),
        (("--infill", r"a\___ b\<mask:0>"), "has no gap"),
        (("--infill", "___", "--gap", 99999999), "___ at character 0: expected a gap of 1 to "),
        (("--infill", "x<mask:0>"), "<mask:0> at character 1: expected a gap of 1 to "),
        (("--infill", "___", "--length", "3"), "leave --prompt, --prompts and --length"),
        (("--infill", "___", "--mode", "ar"), "only diffusion fills gaps"),
        (("--mode", "ar", "--set", "backbone.dim=48"), "expected a key of sampler, sampling"),
        (
            ("--prompt", "as long as it", "--length", "13"),
            "expected a shorter --prompt, or a larger --length",
        ),
        (("--num", "0"), "--num"),
        (("--set", "backbone.dim=48"), "expected a key of sampler, sampling"),
        (("--set", "sampler.steps=0"), "sampler.steps"),
        (("--set", "evaluation.max_tokens=9"), "expected a key of sampler, sampling"),
        (("--gap", "3"), "expected --infill as well"),
        (("--steps", "3", "--set", "sampler.steps=4"), "set the same; expected one of them"),
        (("--sampler", "confidence", "--set", "sampler.steps=4"), "--sampler and --set sampler.st"),
        (("--top-p", "0.5", "--set", "sampling.top_p=0.4"), "--top-p and --set sampling.top_p=0."),
    ],
)
def test_what_cannot_be_done(run, arguments, expected):
    """Fault D8, T8: each in the words of the command line, whose options are the remedies."""
    stderr = aios(run, *arguments, code=2).stderr

    assert expected in stderr
    if "--set" not in arguments:  # whose names are keys of the configuration
        assert not [name for name in fields_dict(Settings) if "_" in name and name in stderr]
    known = {word for param in command.params for word in (*param.opts, *param.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", stderr)) <= known | {"--help"}


def test_the_twin_writes_too(run):
    """From its own folder, or asked for by mode; prompts, seeds and lengths mean the same."""
    (text,) = texts(run, "--mode", "ar", "--prompt", "milk ", "--length", 12)

    assert text.startswith("milk ")
    assert [text] == texts(run / "twin", "--prompt", "milk ", "--length", 12)


def test_a_folder_without_a_run(tmp_path):
    assert "holds no checkpoint" in aios(tmp_path, code=2).stderr


def test_frames_show_what_is_new():
    tokenizer = TrainedBytes()
    update = Update(
        step=2,
        nfe=2,
        token_ids=((97, 256, 256, 98, 99, 27),),
        given=((True, False, False, False, False, False),),
        new=((False, False, False, False, True, False),),
        deltas=("",),
    )
    text = frame(tokenizer, update)

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
