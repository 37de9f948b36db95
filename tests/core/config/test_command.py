"""`aios config` as a user calls it."""

import json
import logging
import tomllib

import jsonschema
import pytest
from click.testing import CliRunner

from aios_core.cli import cli


@pytest.fixture
def aios(monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    return lambda *arguments: CliRunner().invoke(cli, ["config", *map(str, arguments)])


def test_show_prints_toml_or_json(aios, write):
    path = write("seed = 3")

    text = aios("show", path, "--set", "noise.type=cosine")
    data = aios("show", path, "--set", "noise.type=cosine", "--json")

    assert (0, 0) == (text.exit_code, data.exit_code)
    assert tomllib.loads(text.stdout) == json.loads(data.stdout)
    assert (3, "cosine") == (
        json.loads(data.stdout)["seed"],
        json.loads(data.stdout)["noise"]["type"],
    )


def test_what_show_prints_passes_check(aios, write):
    path = write("[sampler]\nsteps = 3")
    shown = write(aios("show", path).stdout, "shown.toml")

    assert "ok\n" == aios("check", shown).stdout
    assert aios("show", path).stdout == aios("show", shown).stdout


def test_check_counts_trials(aios, write):
    text = "[ablate]\nseed = [0, 1]\n'sampler.steps' = [1, 2]"

    assert "ok, 4 trials\n" == aios("check", write(text)).stdout


def test_check_tells_all_that_is_wrong(aios, write):
    path = write("seed = -1\n[ablate]\n'training.steps' = [1, 'x']")

    done = aios("check", path)

    assert (2, "") == (done.exit_code, done.stdout)
    trial = '(in the trial training.steps = "x")'
    assert [
        f"error: {path}:1: seed: expected a number >= 0, got -1",
        f'error: {path}:3: training.steps: expected an integer, got "x" {trial}',
    ] == done.stderr.splitlines()


def test_check_holds_a_lock_against_what_is_installed(aios, write):
    lock = '[lock.components."noise.loglinear"]\ndistribution = "x"\nversion = "1"\napi = 1'

    done = aios("check", write(lock))

    assert 2 == done.exit_code
    assert "the run used x 1 (plugin API 1), installed is ai-os-diffusion" in done.stderr


def test_schema_is_one(aios, write):
    schema = json.loads(aios("schema").stdout)

    jsonschema.Draft4Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(aios("show", write("")).stdout), schema)


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_missing_file_is_the_users_mistake(aios, command, tmp_path):
    done = aios(command, tmp_path / "gone.toml")

    assert 2 == done.exit_code
    assert f"error: {tmp_path}/gone.toml: no such file; expected a TOML file\n" == done.stderr
