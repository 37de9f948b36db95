"""Files: what cannot be read, what is no TOML, what extends what."""

import pytest

from aios_core.config import load
from aios_core.errors import ConfigError


def problem(path, registry):
    with pytest.raises(ConfigError) as caught:
        load(path, registry=registry)
    (message,) = caught.value.problems
    return message.replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1\nname = = 2\n", "run.toml:2: not valid TOML: Invalid value (column 8)"),
        ("seed = 1\nseed = 2", "run.toml:2: not valid TOML: Cannot overwrite a value"),
        ("seed = 1\nname = [1,\n2", "run.toml:3: not valid TOML: Unclosed array"),
        (f"name = {'[' * 5000}", "run.toml: not a configuration: nested too deeply"),
    ],
)
def test_what_is_no_toml(registry, write, text, message):
    assert problem(write(text), registry).startswith(message)


def test_bytes_that_are_no_text(registry, tmp_path):
    path = tmp_path / "run.toml"
    path.write_bytes(b'seed = 1\nname = "\xff"\n')

    message = "run.toml:2: byte 0xff is not valid UTF-8; expected a text file in UTF-8"
    assert message == problem(path, registry)


def test_what_is_no_file(registry, tmp_path):
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (4 * 2**20 + 1))

    assert "gone.toml: no such file; expected a TOML file" == problem(
        tmp_path / "gone.toml", registry
    )
    assert problem(tmp_path, registry).endswith(": is a folder; expected a TOML file")
    assert "large.toml: 4194305 bytes; a configuration has at most" in problem(large, registry)


def test_a_file_extends_others_and_later_ones_win(registry, write, tmp_path):
    (tmp_path / "deep").mkdir()
    write("seed = 1\nname = 'a'\n[training]\nsteps = 1\nbatch_size = 1", "deep/root.toml")
    write("extends = 'root.toml'\nname = 'b'\ntraining.steps = 2", "deep/a.toml")
    write("training.batch_size = 3", "b.toml")
    path = write("extends = ['deep/a.toml', 'b.toml']\ntraining.ema_decay = 0.5")

    values = load(path, registry=registry).values

    assert (1, "b") == (values["seed"], values["name"])
    training = values["training"]
    assert (2, 3, 0.5) == (training["steps"], training["batch_size"], training["ema_decay"])


def test_switching_a_type_drops_the_keys_of_the_old_one(registry, write):
    write("[noise]\ntype = 'power'\nk = 3\n[sampler]\nsteps = 3", "base.toml")

    def noise(text):
        return load(write(f"extends = 'base.toml'\n{text}"), registry=registry).values["noise"]

    assert {"type": "power", "k": 3.0} == noise("")
    assert {"type": "power", "k": 3.0} == noise("[noise]\ntype = 'power'")
    assert {"type": "power", "k": 4.0} == noise("[noise]\nk = 4")
    assert {"type": "loglinear"} == noise("[noise]\ntype = 'loglinear'")


def test_the_default_type_is_switched_away_too(registry, write):
    write("[sampler]\nsteps = 3", "base.toml")
    path = write("extends = 'base.toml'\n[sampler]\ntype = 'first-hitting'")

    assert {"type": "first-hitting"} == load(path, registry=registry).values["sampler"]


def test_faults_of_a_base_are_told_in_the_base(registry, write):
    write("\n[training]\nsteps = 'x'", "base.toml")

    message = 'base.toml:3: training.steps: expected an integer, got "x"'
    assert message == problem(write("extends = 'base.toml'"), registry)


def test_paths_are_relative_to_the_file_that_says_them(registry, write, tmp_path):
    (tmp_path / "deep").mkdir()
    write("[noise]\ntype = 'odd'\nneeded = 1\nfile = '../data/x'", "deep/base.toml")

    resolved = load(write("extends = 'deep/base.toml'"), registry=registry)

    assert tmp_path / "data" / "x" == resolved.config.noise.file
    assert (("noise", "file"),) == resolved.paths


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "extends = 3",
            "run.toml:1: extends: expected the name of a file or an array of them, got 3",
        ),
        ("\nextends = [\n'a', 3]", "run.toml:3: extends: there is no file a"),
        ("extends = 'run.toml'", "run.toml:1: extends: a file extends itself: run.toml -> run"),
    ],
)
def test_faults_of_extends(registry, write, text, message):
    assert problem(write(text), registry).startswith(message)


def test_a_cycle_names_its_chain(registry, write):
    write("extends = 'b.toml'", "a.toml")
    write("extends = ['c.toml', './a.toml']", "b.toml")
    write("", "c.toml")

    message = problem(write("extends = 'a.toml'"), registry)

    chain = "run.toml -> a.toml -> b.toml -> a.toml"
    assert f"b.toml:1: extends: a file extends itself: {chain}" == message


def test_a_byte_order_mark_is_no_part_of_a_configuration(registry, write):
    """Fault N14: what some editors put in front of a file is no syntax error."""
    path = write("")
    path.write_bytes(b"\xef\xbb\xbfseed = 3\n")

    assert 3 == load(path, registry=registry).config.seed
