"""A package to begin a plugin with: components of any kinds, their tests, and what installs them.

The components are those in ``examples``, under the user's name for them; each has its own module.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from aios_core.errors import PluginError
from aios_core.scaffold.renaming import Example

if TYPE_CHECKING:
    from aios_core.kinds import Kind

_PYPROJECT: Final = """\
[build-system]
requires = ["setuptools>=69"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{nouns} for ai-os-diffusion."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["ai-os-diffusion"]

[project.optional-dependencies]
test = ["ai-os-diffusion[test]"]

[project.entry-points."aios.plugins"]
{entry_points}

[tool.setuptools]
py-modules = [{modules}]
"""

_README: Final = """\
# {distribution}

{nouns} for ai-os-diffusion.

In the environment of `aios`:

{steps}

The tests need the extra `test` of ai-os-diffusion. `pyproject.toml` names each module as an entry
point, which makes it known to `aios` once the package is installed.
"""

_TEST: Final = '''\
"""Every component keeps the contract of its kind; add tests of what is special about it."""

{imports}
from aios_core.registry import Registry
{suites}

{classes}

def test_every_component_is_registered():
    registry = Registry.empty()
{adds}

    assert not registry.failures
{asserts}
'''

_CLASS: Final = """\

class Test{title}({suite}):
    component = {module}.{cls}
"""

_MEANT: Final = frozenset({"conftest", "setup"})
"""Modules that pytest and setuptools would run."""


@frozen
class Part:
    """A component of the package."""

    kind: Kind
    name: str
    """In the registry, beside its kind."""
    module: str
    """Where its class is."""
    example: Example
    """What it begins as."""

    @property
    def key(self) -> str:
        """Kind and name, as in ``noise.cosine``."""
        return f"{self.kind.name}.{self.name}"

    @property
    def cls(self) -> str:
        """The name of its class."""
        return self.example.class_for(self.name)


@frozen
class Package:
    """A package that can be written."""

    folder: Path
    """Where."""
    distribution: str
    """Its name for installers."""
    parts: tuple[Part, ...]
    """Its components, in the order that was asked for."""

    @property
    def steps(self) -> tuple[str, ...]:
        """Commands that install and try it, in its folder and the environment of ``aios``."""
        shows = (f"aios plugins show {part.key}" for part in self.parts)
        check = f"aios plugins check {self.distribution}"
        # The environment has ai-os-diffusion, which pip would look for on its index.
        return ("pip install --no-deps -e .", "pytest", *shows, check)

    def texts(self) -> Mapping[str, str]:
        """What its files hold, by their names."""
        modules = {part.module: part.example.renamed(part.name) for part in self.parts}
        base = self.distribution.replace("-", "_")
        nouns = _listed([part.example.noun for part in self.parts])
        pyproject = _PYPROJECT.format(
            distribution=self.distribution,
            nouns=nouns,
            entry_points="\n".join(f'{module} = "{module}"' for module in modules),
            modules=", ".join(f'"{module}"' for module in modules),
        )
        steps = "\n".join(f"    {step}" for step in self.steps)
        readme = _README.format(distribution=self.distribution, nouns=nouns, steps=steps)
        return {
            "pyproject.toml": pyproject,
            "README.md": readme,
            **{f"{module}.py": text for module, text in modules.items()},
            f"test_{base}.py": self._test(),
        }

    def _test(self) -> str:
        suites = sorted({part.kind.suite for part in self.parts if part.kind.suite is not None})
        same = "    assert {0.module}.{0.cls} is registry.get({0.kind.name!r}, {0.name!r}).load()"
        return _TEST.format(
            imports="\n".join(
                f"import {module}" for module in sorted(p.module for p in self.parts)
            ),
            suites="\n".join("from {} import {}".format(*suite.split(":")) for suite in suites),
            classes="\n".join(
                _CLASS.format(
                    title="".join(word.capitalize() for word in part.kind.name.split("_")),
                    suite=part.kind.suite.partition(":")[2],
                    module=part.module,
                    cls=part.cls,
                )
                for part in self.parts
                if part.kind.suite is not None
            ),
            adds="\n".join(f"    registry.add({part.module})" for part in self.parts),
            asserts="\n".join(same.format(part) for part in self.parts).replace("'", '"'),
        )

    def write(self) -> tuple[Path, ...]:
        """Write it: it can be installed, and passes its own tests.

        Returns:
            The files.

        Raises:
            PluginError: the folder is not empty, is not a folder, or cannot be written.
        """
        texts = self.texts()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise PluginError(f"{self.folder} is not empty; expected a new folder")
            for file, text in texts.items():
                (self.folder / file).write_text(text, encoding="utf-8")
        except OSError as error:
            raise PluginError(f"cannot write the package {self.folder}: {error}") from error
        return tuple(self.folder / file for file in texts)


def new_package(folder: Path, kinds: Sequence[Kind]) -> Package:
    """A package with one component of each kind; nothing is written yet.

    Args:
        folder: where; its name becomes the distribution's, and without ``aios-`` the components'.
        kinds: of several, each has a module with its kind's name.

    Raises:
        PluginError: the folder's name cannot be a package's, or an installed package or a module
            has it; a kind is given twice, or has no example.
    """
    distribution = re.sub(r"[-_.]+", "-", folder.resolve().name).lower()
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", distribution):
        raise PluginError(
            f"{folder.resolve().name!r} cannot name a package; expected letters, digits and "
            "hyphens, as in 'aios-my-schedule'"
        )
    if twice := sorted({kind.name for kind in kinds if kinds.count(kind) > 1}):
        raise PluginError(f"expected each kind once, got {', '.join(twice)} more than once")
    name, base = distribution.removeprefix("aios-"), distribution.replace("-", "_")
    modules = [base if len(kinds) == 1 else f"{base}_{kind.name}" for kind in kinds]
    _check_free(distribution, modules)
    parts = (
        Part(kind, name, module, Example.of(kind))
        for kind, module in zip(kinds, modules, strict=True)
    )
    return Package(folder, distribution, tuple(parts))


def _check_free(distribution: str, modules: Sequence[str]) -> None:
    """Refuse names under which the package would hide, or replace, something else."""
    right = "expected a folder name of its own, such as 'aios-my-schedule'"
    for module in modules:
        if keyword.iskeyword(module) or module in _MEANT:
            raise PluginError(
                f"{right}, got {distribution!r}: {module}.py has a meaning of its own"
            )
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:  # None: a folder that happens to be there
            raise PluginError(f"{right}, got {distribution!r}: there is a module {module} already")
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return
    raise PluginError(f"{right}, got {distribution!r}: {distribution} {version} is installed")


def _listed(nouns: Sequence[str]) -> str:
    """``"A sampler, a metric and an executor"``."""
    first, *others = nouns
    others = [noun[0].lower() + noun[1:] for noun in others]
    return " and ".join(filter(None, (", ".join((first, *others[:-1])), *others[-1:])))
