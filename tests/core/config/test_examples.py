"""The configurations in ``examples/`` say what they mean with what is installed."""

from pathlib import Path

import pytest

from aios_core.config import load

EXAMPLES = Path(__file__).parents[3] / "examples"


def resolved(name):
    path = ("dataset.path=book.txt",) if name.startswith("tinyshakespeare") else ()
    return load(EXAMPLES / f"{name}.toml", overrides=path)


def test_all_are_good():
    names = [path.stem for path in EXAMPLES.glob("*.toml")]

    assert "demo" in names
    assert all(resolved(name).config for name in names)


@pytest.mark.parametrize("corpus", ["tinyshakespeare", "python-docs"])
def test_pairs_are_matched(corpus):
    """The twins differ in the mask of the attention and in how long, and how hard, they train."""
    diffusion, twin = (resolved(f"{corpus}-{mode}").values for mode in ("diffusion", "ar"))
    assert ("diffusion", "ar") == (diffusion["mode"], twin["mode"])
    for section, key in (("backbone", "dropout"), ("training", "steps"),
                         ("training", "batch_size"), ("training", "evaluate_every")):  # fmt: skip
        assert diffusion[section].pop(key) != twin[section].pop(key)
    for values in (diffusion, twin):
        del values["mode"], values["name"]
    assert diffusion == twin


def test_both_corpora_are_trained_on_alike():
    first, other = resolved("tinyshakespeare-ar").values, resolved("python-docs-ar").values
    assert "python-docs" == other["dataset"]["type"]
    for values in (first, other):
        del values["name"], values["dataset"]
    assert first == other
