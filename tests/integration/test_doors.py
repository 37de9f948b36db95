"""Each folder of the default plugins may go, where another plugin of its kind stands in.

With a folder deleted and the scaffold's own example of that kind installed in its place, a network
is trained, sampled from, and compared.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

import aios_core
import aios_plugins
from aios_core.kinds import KINDS
from aios_core.registry import Registry
from aios_core.scaffold.renaming import Example
from aios_core.testing.fixtures import write_plugin

HOUSE = Path(aios_plugins.__file__).parent
FOLDERS = sorted(
    path.name for path in HOUSE.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))
)

TINY = {
    "backbone": {"dim": 16, "layers": 1, "heads": 2},
    "diffusion": {"length": 8},
    "training": {"steps": 2, "batch_size": 2, "evaluate_windows": 2, "device": "cpu"},
    "sampling": {"num_samples": 2, "batch_size": 2, "length": 8},
    "evaluation": {"max_tokens": 64, "draws": 1, "batch_size": 8, "twin": False},
    "ablate": {"seed": [0, 1]},
}
NAMED = {
    "tokenizer": {"type": "bytes"},
    "embedding": {"type": "hashing", "dim": 8},
    "executor": {"type": "processes", "workers": 1},
    "sampler": {"type": "ancestral", "steps": 2},
}
"""Sections that name a component of ours, as long as that is there."""


def kind_of(folder):
    """The kind of component that a folder offers."""
    ours = [
        component
        for component in Registry.discover().offers()
        if component.distribution == "ai-os-diffusion"
    ]
    (kind,) = {
        component.kind
        for component in ours
        if component.place.startswith(f"aios_plugins.{folder}.")
    }
    return KINDS[kind]


def test_every_kind_has_a_folder_and_every_folder_a_kind():
    assert sorted(KINDS) == sorted(kind_of(folder).name for folder in FOLDERS)


CODE = """
from pathlib import Path
from click.testing import CliRunner
from aios_core.cli import cli

if __name__ == "__main__":
    for words in (
        ("plugins", "list", "--json"),
        ("run", "tiny.toml", "--output", "run"),
        ("sample", "run", "--num", "1"),
        ("ablate", "tiny.toml", "--output", "ablation"),
    ):
        done = CliRunner().invoke(cli, words)
        if done.exit_code:
            raise SystemExit(f"aios {' '.join(words)}: {done.output}")
        if words[0] == "plugins":
            Path("listed.json").write_text(done.stdout)
"""
"""One process for all commands: to start one takes longer than they do."""


@pytest.fixture
def without(tmp_path):
    """Run commands where a folder of plugins is deleted; what is listed there."""

    def deleted(folder, source):
        house = tmp_path / "house" / "aios_plugins"
        house.mkdir(parents=True)
        for path in HOUSE.iterdir():
            if path.name not in {folder, "__pycache__"}:
                (house / path.name).symlink_to(path)
        write_plugin(house.parent, source, module="stand_in")
        places = (house.parent, Path(aios_core.__file__).parents[1], os.environ.get("PYTHONPATH"))
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(place) for place in places if place),
            "AIOS_CACHE": str(tmp_path / "cache"),
        }

        done = subprocess.run(
            [sys.executable, "-c", CODE],
            env=environ, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert 0 == done.returncode, f"without {folder}: {done.stdout}{done.stderr}"
        return json.loads((tmp_path / "listed.json").read_text())["components"]

    return deleted


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_may_go_where_the_example_of_its_kind_stands_in(without, tmp_path, folder):
    kind = kind_of(folder)
    example = Example.of(kind)
    suffix = example.name if kind.name == "reader" else "txt"
    corpus = tmp_path / f"corpus.{suffix}"
    corpus.write_text("".join(f"{n} bottles of milk, and {n + 1} of tea.\n" for n in range(60)))
    values = {"dataset": {"type": "file", "path": str(corpus)}, **TINY}
    values |= {name: {**values.get(name, {}), **each} for name, each in NAMED.items()}
    if kind.default:  # of modalities a configuration of texts has none
        stand_in = {"type": example.name}
        values[kind.section] = [stand_in] if kind.many else stand_in
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(values))
    listed = without(folder, example.source)

    offered = {each["name"]: each["distribution"] for each in listed if each["kind"] == kind.name}
    assert {example.name: "stand-in"} == offered
    assert (tmp_path / "run" / "checkpoints" / "latest").exists()
    assert (tmp_path / "ablation" / "ablation.json").exists()
