"""The stubs tell the truth about the compiled extension, and its classes cannot be changed."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from aios_plugins import _native
from aios_plugins._native import fast_tokenizer

CONFIG = Path(__file__).parents[2] / "pyproject.toml"


def test_stubs_agree_with_the_module():
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "aios_plugins._native",
            "--mypy-config-file",
            CONFIG,
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == result.returncode, result.stdout + result.stderr


def test_submodules_can_be_imported_by_name():
    module = importlib.import_module("aios_plugins._native.fast_tokenizer")

    assert fast_tokenizer is module
    assert "aios_plugins._native.fast_tokenizer" == fast_tokenizer.Bpe.__module__
    assert _native.__version__.count(".") == 2


def test_classes_are_frozen():
    bpe = fast_tokenizer.Bpe.train([], vocab_size=260, min_frequency=1)

    with pytest.raises(AttributeError):
        bpe.vocab_size = 1
    with pytest.raises(AttributeError):
        bpe.more = 1
    with pytest.raises(TypeError):
        fast_tokenizer.Bpe()
