"""JSON Schema: itself valid, accepts what the reader accepts, refuses what it can tell is wrong."""

import tomllib

import jsonschema
import pytest

from aios_core.config import resolve
from aios_core.config.json_schema import json_schema
from aios_core.registry import Registry

from .conftest import small


@pytest.fixture(scope="module")
def validator():
    schema = json_schema(small())
    jsonschema.Draft4Validator.check_schema(schema)
    return jsonschema.Draft4Validator(schema)


GOOD = [
    "",
    "seed = 3\nmode = 'ar'\nextends = ['a.toml']\n[sampling]\nlength = 5",
    "[sampler]\nsteps = 4",
    "[noise]\ntype = 'power'\nk = 3",
    "[noise]\ntype = 'odd'\nneeded = 1\neither = 'x'\npair = ['a', 1]\nnamed = {a = 1}\nkind = 3",
    "[noise]\ntype = 'odd'\nneeded = 1\nprivate = 1\nfile = 'x'\nshapes = [{width = 3}]",
    "[[metrics]]\ntype = 'nelbo'\nn = 3",
    "[ablate]\nseed = [0, 1]\nsampler.type = ['ancestral']\n[[ablate.zip]]\nmode = ['ar']",
    "[plugins.use]\n'noise.power' = 'small-plugins'",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_files_pass(validator, text):
    validator.validate(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "sed = 3",
        "seed = -1",
        "seed = 1.5",
        "mode = 'difusion'",
        "name = '../x'",
        "[noise]\ntype = 'powr'",
        "[noise]\ntype = 'power'\nk = 0",
        "[noise]\ntype = 'power'\nz = 1",
        "[noise]\nk = 1",
        "[noise]\ntype = 'odd'",
        "[noise]\ntype = 'odd'\nneeded = 1\npair = ['a']",
        "[noise]\ntype = 'odd'\nneeded = 1\nshape = {width = 0}",
        "[[metrics]]\nn = 3",
        "[training]\nema_decay = 1",
        "[sampling]\nlength = 0",
        "[ablate]\nseed = []",
    ],
)
def test_bad_files_fail(validator, text):
    assert not validator.is_valid(tomllib.loads(text))


def test_what_is_installed_validates_its_own_defaults():
    registry = Registry.discover()
    schema = json_schema(registry)

    jsonschema.Draft4Validator.check_schema(schema)
    jsonschema.validate(resolve({}, registry=registry).values, schema)


def test_it_explains_sections_components_and_fields(registry):
    properties = json_schema(registry)["properties"]

    power = next(each for each in properties["noise"]["anyOf"] if each["title"] == "power")
    assert "Keep a token until time t with probability 1 - t**k." == power["description"]
    want = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "default": 2.0}
    assert {**want, "description": "The exponent."} == power["properties"]["k"]
    training = properties["training"]["properties"]
    assert (
        "Forward passes a step, of `batch_size` sequences each: 4 passes of 4 learn what one of "
        "16\ndoes, to rounding, unless the backbone drops out."
        == (training["accumulate"]["description"])
    )
    assert "The optimiser's loop." == properties["training"]["description"]


def test_a_broken_component_stays_nameable(validator):
    validator.validate({"noise": {"type": "mutable", "anything": 1}})
