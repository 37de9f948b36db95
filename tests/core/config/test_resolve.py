"""Loading: every default written out, values of every type, round trips."""

from aios_core.config import load, resolve


def test_an_empty_file_is_the_defaults(registry, write):
    resolved = load(write(""), registry=registry)

    assert 1000 == resolved.config.training.steps
    assert "loglinear" == resolved.values["noise"]["type"]
    assert {"type": "ancestral", "steps": 64, "order": "random"} == resolved.values["sampler"]
    assert ["nelbo", "likelihood", "entropy", "distinct", "twin"] == [
        metric["type"] for metric in resolved.values["metrics"]
    ]
    assert 13 == len(resolved.components)


def test_values_resolve_to_themselves(registry, write):
    resolved = load(write("[noise]\ntype = 'odd'\nneeded = 3\nfile = 'x/y'\n"), registry=registry)

    assert resolved == resolve(resolved.values, registry=registry)
