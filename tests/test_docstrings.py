"""Examples of docstrings do what they show; each module is imported in its own test."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMPT = re.compile(r"^ +>>> ", re.MULTILINE)
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): count
    for package in ("aios_core", "aios_plugins")
    for path in sorted((ROOT / package).rglob("*.py"))
    if (count := len(PROMPT.findall(path.read_text(encoding="utf-8"))))
}
"""How many examples a module has, by its name."""


@pytest.mark.parametrize("name", FILES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    output = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=options)
    for examples in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(examples, out=output.append)

    assert not output, "".join(output)
    assert FILES[name] == runner.summarize(verbose=False).attempted


def test_there_are_examples():
    assert len(FILES) >= 12
