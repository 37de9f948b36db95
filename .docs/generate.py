"""Pages that follow from the code: kinds, modules, READMEs, tutorials. Run by `mkdocs build`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import mkdocs_gen_files as site

from aios_core.cli.fields import describe_fields
from aios_core.component import Component, resolve
from aios_core.errors import PluginError
from aios_core.registry import Registry

if TYPE_CHECKING:
    from aios_core.kinds import Kind

ROOT = Path(__file__).parents[1]
PUBLIC = {
    "aios_core": "The package: hookimpl, the version of the plugin API.",
    "aios_core.contracts": "What a plugin writes.",
    "aios_core.config": "From a file to typed values, and the keys of results.",
    "aios_core.registry": "Which components there are.",
    "aios_core.kinds": "The kinds of components.",
    "aios_core.inference": "Sampling from a run.",
    "aios_core.memory": "Stores of memories.",
    "aios_core.formats": "Files by their suffix: tensors are opened and saved, readers are chosen.",
    "aios_core.experiment": "Ablations from Python.",
    "aios_core.testing.conformance": "The suites that every component passes.",
    "aios_core.errors": "The errors.",
}
"""Modules whose names are public, and what they are for; see `versions.md`."""

TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#\s]+)(#[^)]*)?\)")


def main() -> None:
    registry = Registry.discover()
    kinds = dict(kind_pages(registry))
    tutorials = dict(copied("examples/tutorials", "tutorials"))
    folders = dict(readmes())
    reference = dict(reference_pages())
    lines = ["* [Home](index.md)", "* [Getting started](start.md)"]
    for title, pages in (
        ("Tutorials", tutorials),
        ("Kinds of plugins", kinds),
        ("Rooms of the repository", folders),
        ("Python reference", reference),
    ):
        lines.append(f"* {title}")
        lines += [f"    * [{name}]({path})" for path, name in pages.items()]
    lines += ["* [Gallery](gallery.md)", "* [Measurements](benchmarks.md)"]
    lines += ["* [Versions and promises](versions.md)", "* [Changes](changes.md)"]
    lines += ["* [Contributing](contributing.md)"]
    write("SUMMARY.md", "\n".join(lines))
    for source, target in (
        ("README.md", "index.md"),
        ("BENCHMARKS.md", "benchmarks.md"),
        ("CONTRIBUTING.md", "contributing.md"),
        ("CHANGELOG.md", "changes.md"),
    ):
        write(target, relinked((ROOT / source).read_text(encoding="utf-8"), Path()))


def kind_pages(registry: Registry) -> Iterator[tuple[str, str]]:
    """A page for each kind: what it promises, its contract, its components, a whole plugin."""
    for kind in registry.kinds.values():
        path = f"kinds/{kind.name}.md"
        write(path, "\n".join(kind_page(kind, registry)))
        yield path, kind.name


def kind_page(kind: Kind, registry: Registry) -> Iterator[str]:
    yield f"# {kind.name}\n\n{code(kind.promise)}\n"
    yield f"| hook | `{kind.hook}` |\n|---|---|"
    if kind.section:
        section = f"[[{kind.section}]]" if kind.many else f"[{kind.section}]"
        default = ", ".join(kind.default) if isinstance(kind.default, tuple) else kind.default
        yield f"| section of a configuration | `{section}` |\n| default | `{default}` |"
        yield f"| a change makes void | {kind.affects} |"
    yield f"\n## The contract\n\n::: {kind.contract.replace(':', '.')}\n"
    yield "\n## Components\n"
    for component in registry.components(kind.name):
        yield from component_lines(component)
    if kind.example and (spec := find_spec(kind.example)) and spec.origin:
        source = Path(spec.origin).read_text(encoding="utf-8")
        command = f"aios plugins new aios-mine --kind {kind.name}"
        yield f"\n## A whole plugin\n\n`{command}` begins with it.\n"
        yield f"```python\n{source}```\n"


def component_lines(component: Component) -> Iterator[str]:
    yield f"### `{component.name}`\n"
    try:
        cls = component.load()
        fields = describe_fields(cls)
    except PluginError as error:
        yield f"Not available here: {error}\n"
        return
    yield code(inspect.getdoc(cls) or "") + "\n"
    if fields:
        yield "| field | type | default | |\n|---|---|---|---|"
    for field in fields:
        default = "required" if field.required else f"`{field.default or 'unset'}`"
        facts = "; ".join(filter(None, (" ".join(field.doc.split()), ", ".join(field.bounds))))
        yield f"| `{field.name}` | {cell(field.type)} | {cell(default)} | {cell(code(facts))} |"
    yield ""


def reference_pages() -> Iterator[tuple[str, str]]:
    for name, purpose in PUBLIC.items():
        path = f"reference/{name}.md"
        members = getattr(resolve(name), "__all__", None)
        lines = [f"# {name}\n\n{purpose}\n"]
        lines += [f"::: {name}.{member}\n" for member in members or ()]
        if not members:
            lines.append(f"::: {name}\n    options:\n      show_root_heading: false\n")
        write(path, "\n".join(lines))
        yield path, name


def readmes() -> Iterator[tuple[str, str]]:
    """The README.md of every folder that has one."""
    for source in sorted(ROOT.glob("*/**/README.md")):
        folder = source.relative_to(ROOT).parent
        if folder.parts[0] not in {"aios_core", "aios_plugins", "native", "examples"}:
            continue
        if folder.parts[:2] == ("examples", "tutorials") or "target" in folder.parts:
            continue
        path = f"rooms/{folder.as_posix().replace('/', '-')}.md"
        write(path, relinked(source.read_text(encoding="utf-8"), folder))
        yield path, folder.as_posix()


def copied(folder: str, target: str) -> Iterator[tuple[str, str]]:
    for source in sorted((ROOT / folder).glob("*.md")):
        text = source.read_text(encoding="utf-8")
        path = f"{target}/{source.name}"
        write(path, relinked(text, Path(folder)))
        yield path, (TITLE.search(text) or ("", source.stem))[1]


PAGES = {
    "README.md": "index.md",
    "BENCHMARKS.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}


def relinked(text: str, folder: Path) -> str:
    """Links between files of the repository as links between pages; others become plain text."""

    def link(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        place = (ROOT / folder / target).resolve().relative_to(ROOT).as_posix()
        if place in PAGES:
            up = "../" if folder.parts else ""
            return f"{label}({up}{PAGES[place]}{anchor})"
        return f"{label.strip('![]')} (`{place}`)"

    return LINK.sub(link, text)


def code(text: str) -> str:
    """The double back quotes of docstrings as those of Markdown."""
    return text.replace("``", "`")


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write(path: str, text: str) -> None:
    with site.open(path, "w") as file:
        file.write(text)


main()
