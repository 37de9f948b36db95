"""Fixtures for plugin authors: write ``pytest_plugins = ["aios_core.testing.fixtures"]``.

They are not loaded by themselves: a pytest plugin is imported in every run of pytest, also in those
that have nothing to do with this project.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from aios_core.config import resolve, twin
from aios_core.discovery import GROUP
from aios_core.registry import Registry


class PluginWriter(Protocol):
    """What the fixture `tmp_plugin` is; the parameters are those of `write_plugin`."""

    def __call__(
        self,
        source: str | None,
        *,
        module: str = "tmp_plugin",
        distribution: str | None = None,
        version: str = "1.0",
        entry_points: Mapping[str, str] | None = None,
    ) -> Path:
        """Write and install a plugin."""
        ...


def write_plugin(
    folder: Path,
    source: str | None,
    *,
    module: str = "tmp_plugin",
    distribution: str | None = None,
    version: str = "1.0",
    entry_points: Mapping[str, str] | None = None,
) -> Path:
    """Write a distribution of one module into a folder, as an installer would.

    Args:
        folder: an entry of ``sys.path``, or one that will be.
        source: of the module; None writes the metadata and no module.
        module: its name.
        distribution: its distribution; unset: the module's name with hyphens.
        version: of the distribution.
        entry_points: name to ``"module"``; unset: the module under its own name.

    Returns:
        The path of the module.
    """
    distribution = distribution or module.replace("_", "-")
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    points = entry_points if entry_points is not None else {module: module}
    lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    path = folder / f"{module}.py"
    if source is not None:
        path.write_text(textwrap.dedent(source), encoding="utf-8")
    return path


@pytest.fixture
def registry() -> Registry:
    """A registry that discovers nothing: ``registry.add(my_plugin)``."""
    return Registry.empty()


@pytest.fixture
def tmp_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginWriter]:
    """A function that installs a plugin for one test, in this process and in those it starts.

    Discovery, real entry points and all, finds what it wrote::

        def test_it_is_found(tmp_plugin):
            tmp_plugin(SOURCE, module="my_plugin")
            assert "power" in {c.name for c in Registry.discover().components("noise")}
    """
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), inherited))))
    before = set(sys.modules)

    def write(
        source: str | None,
        *,
        module: str = "tmp_plugin",
        distribution: str | None = None,
        version: str = "1.0",
        entry_points: Mapping[str, str] | None = None,
    ) -> Path:
        return write_plugin(
            folder,
            source,
            module=module,
            distribution=distribution,
            version=version,
            entry_points=entry_points,
        )

    yield write
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(folder):
            del sys.modules[name]


def tiny_values(corpus: Path) -> dict[str, Any]:
    """A configuration whose network learns a little of a text in about a second.

    Args:
        corpus: a text file.
    """
    return {
        "dataset": {"type": "file", "path": str(corpus)},
        "tokenizer": {"type": "bytes"},
        "backbone": {"type": "transformer", "dim": 32, "layers": 2, "heads": 2},
        "diffusion": {"length": 24},
        "training": {"steps": 20, "batch_size": 8},
        "sampler": {"type": "ancestral", "steps": 6},
        "sampling": {"batch_size": 3},
    }


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `tiny_values` with its twin, trained once for all tests.

    Nobody may write to it: ``shutil.copytree(tiny_run, tmp_path / "run")`` makes a run of one's
    own, whose corpus stays where it is.
    """
    from aios_core.training.trainer import train

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "corpus.txt").write_text("a bottle of milk, and another. " * 100, encoding="utf-8")
    resolved = resolve(tiny_values(folder / "corpus.txt"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIOS_CACHE", str(folder / "cache"))
        train(resolved, folder / "run", progress=False)
        train(twin(resolved), folder / "run" / "twin", progress=False)
    return folder / "run"
