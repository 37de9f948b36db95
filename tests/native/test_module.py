"""The compiled extension's modules and classes; `make lint` compares its stubs with it."""

import importlib
import re
from pathlib import Path

import pytest

from aios_plugins import _native
from aios_plugins._native import fast_tokenizer


def test_submodules_can_be_imported_by_name():
    module = importlib.import_module("aios_plugins._native.fast_tokenizer")

    assert fast_tokenizer is module
    assert "aios_plugins._native.fast_tokenizer" == fast_tokenizer.Bpe.__module__
    assert _native.__version__.count(".") == 2


def test_each_submodule_says_of_which_sources_it_is():
    modules = (_native.arrow_quant, _native.arrow_storage, fast_tokenizer, _native.vector_search)
    digests = {module.__source_digest__ for module in modules}

    assert len(modules) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_the_example_of_the_bindings_runs():
    readme = Path(__file__).parents[2] / "native" / "bindings" / "README.md"
    (example,) = re.findall("^```python\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE)

    exec(example, {})


def test_classes_are_frozen():
    bpe = fast_tokenizer.Bpe.train([], vocab_size=260, min_frequency=1)

    with pytest.raises(AttributeError):
        bpe.vocab_size = 1
    with pytest.raises(AttributeError):
        bpe.more = 1
    with pytest.raises(TypeError):
        fast_tokenizer.Bpe()
