"""A package to begin a plugin with: one component, its test, and what installs them.

The component is the one in ``examples``, under the user's name for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from attrs import frozen

from aios_core.errors import PluginError

_PYPROJECT: Final = """\
[build-system]
requires = ["setuptools>=69"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "A plugin of the kind {kind} for ai-os-diffusion."
requires-python = ">=3.11"
dependencies = ["ai-os-diffusion"]

[project.optional-dependencies]
test = ["ai-os-diffusion[test]"]

[project.entry-points."aios.plugins"]
{module} = "{module}"

[tool.setuptools]
py-modules = ["{module}"]
"""

_TEST: Final = '''\
"""The contract of its kind, and what is special about it."""

import {module}
from aios_core.registry import Registry
from aios_core.testing.contracts.{kind} import {suite}


class Test{cls}({suite}):
    component = {module}.{cls}


def test_it_is_registered():
    registry = Registry.empty()
    registry.add({module})

    assert {module}.{cls} is registry.get("{kind}", "{name}").load()
'''


@frozen
class Package:
    """What was written."""

    name: str
    """Of the component."""
    files: tuple[Path, ...]


def write_package(folder: Path, kind: str) -> Package:
    """Write a package that can be installed and passes its own tests.

    Args:
        folder: where; its name becomes the distribution's, and without ``aios-`` the component's.
        kind: a key of `aios_core.kinds.KINDS`.

    Raises:
        PluginError: the folder is not empty, is no folder, or its name cannot be a package's.
    """
    distribution = re.sub(r"[-_.]+", "-", folder.resolve().name).lower()
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", distribution):
        raise PluginError(
            f"{folder.resolve().name!r} cannot name a package; want letters, digits and hyphens, "
            "as in 'aios-my-schedule'"
        )
    name = distribution.removeprefix("aios-")
    values = {
        "cls": "".join(part.capitalize() for part in re.findall(r"[a-z]+|\d+", name)),
        "distribution": distribution,
        "kind": kind,
        "module": distribution.replace("-", "_"),
        "name": name,
        "suite": f"{kind.capitalize()}Contract",
    }
    texts = {
        "pyproject.toml": _PYPROJECT.format(**values),
        f"{values['module']}.py": _example(kind, name, values["cls"]),
        f"test_{values['module']}.py": _TEST.format(**values),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise PluginError(f"{folder} is not empty; want a new folder")
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PluginError(f"cannot write the package {folder}: {error}") from error
    return Package(name, tuple(folder / file for file in texts))


def _example(kind: str, name: str, cls: str) -> str:
    """The source of a plugin of this kind, whose component gets another name."""
    text = Path(__file__).with_name("examples").joinpath(f"{kind}.py").read_text(encoding="utf-8")
    offer = re.search(r'return {"(.+)": (\w+)}', text)
    assert offer is not None, f"the example of {kind} offers nothing"
    old, old_cls = offer.groups()
    return re.sub(rf"\b{old_cls}\b", cls, text).replace(f'"{old}"', f'"{name}"')
