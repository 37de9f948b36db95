"""Every number of a configuration has both bounds, whoever's class it belongs to."""

import typing

import attrs
import click
import pytest
import torch

from aios_core.cli import cli
from aios_core.config import load, resolve
from aios_core.config.resolve import section
from aios_core.config.schema import config_class
from aios_core.config.types import fields, hints
from aios_core.errors import ConfigError
from aios_core.kinds import KINDS
from aios_core.registry import Registry

EXTREMES = {int: (2**63 - 1, 2**63, -(2**62)), float: (1e300, float("inf"), -1e300, float("nan"))}
"""None of these is a number of steps, a rate or a share; 2**63 - 1 is a seed."""

SEEDS = {"seed", "evaluation.twin_seed"}


def scalars(hint):
    """The types of the numbers in a hint, with a function from a number to a value of the hint."""
    if hint in (int, float):
        yield hint, lambda number: number
        return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return
    for place, inner in enumerate(arguments):
        for kind, made in scalars(inner):
            if origin is not tuple:
                yield kind, made
            elif Ellipsis in arguments:
                yield kind, lambda number, made=made: [made(number)]
            else:
                ends = [0.0] * len(arguments)
                yield (
                    kind,
                    lambda number, made=made, place=place, ends=ends: [
                        *ends[:place],
                        made(number),
                        *ends[place + 1 :],
                    ],
                )


def numbers(cls, path=()):
    """Every number of an attrs class and of those inside it: path, type, and how it is written."""
    for key, attribute in fields(cls).items():
        if "kind" in attribute.metadata:
            continue
        hint = hints(cls)[attribute.name]
        if attrs.has(hint):
            yield from numbers(hint, (*path, key))
            continue
        for kind, made in scalars(hint):
            yield (*path, key), kind, made


def refused(path, value, build):
    for key in reversed(path):
        value = {key: value}
    try:
        build(value)
    except ConfigError as error:
        return any(path[-1] in problem for problem in error.problems)
    return False


@pytest.mark.parametrize(
    ("path", "kind", "made"),
    list(numbers(config_class(tuple(KINDS.values())))),
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_a_section_s_number_has_both_bounds(path, kind, made):
    """Fault T8, N13: a seed, a learning rate and every other number has both bounds."""
    extremes = [
        extreme for extreme in EXTREMES[kind] if extreme != 2**63 - 1 or ".".join(path) not in SEEDS
    ]

    assert extremes == [extreme for extreme in extremes if refused(path, made(extreme), resolve)]


INSTALLED = [
    component
    for component in Registry.discover().offers()
    if component.distribution == "ai-os-diffusion"
]


@pytest.mark.parametrize("component", INSTALLED, ids=lambda value: value.key)
def test_a_component_s_number_has_both_bounds(component):
    """Fault T8, N13: and so has every number of a plugin."""
    kind = KINDS[component.kind]

    def build(values):
        if component.kind == "checker":  # which no section holds, but a metric
            held = {"type": component.name, **values}
            return resolve({"metrics": [{"type": "checked", "checker": held}]})
        if kind.many:
            return resolve({kind.section: [{"type": component.name, **values}]})
        return section(kind.section, values={"type": component.name, **values})

    taken = [
        (*path, number)
        for path, kind, made in numbers(component.load())
        for number in EXTREMES[kind]
        if not refused(path, made(number), build)
    ]

    assert [] == taken


def test_the_largest_seed_is_one_that_torch_takes():
    """Fault T8, N13: what the configuration takes as a seed draws numbers."""
    largest = resolve({"seed": 2**63 - 1}).config.seed

    assert torch.Generator().manual_seed(largest + 2).initial_seed() == largest + 2


def test_a_number_with_thousands_of_digits_is_named_with_its_line(write):
    """Fault N13: Python's limit of digits is no traceback."""
    path = write("seed = 1\n[sampler]\nsteps = " + "9" * 5000 + "\n")
    with pytest.raises(ConfigError) as caught:
        load(path)

    assert f"{path}:3: a number has thousands of digits; expected at most 2**63 - 1" == str(
        caught.value
    )
    with pytest.raises(ConfigError, match="expected an integer, got"):
        resolve({}, overrides=["sampler.steps=" + "9" * 5000])


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_what_is_not_finite_is_refused_for_every_plugin(registry, value):
    """Fault T8: a plugin that forgot its bounds is given finite numbers only."""
    with pytest.raises(
        ConfigError, match=r"noise\.k: expected a number, got -?(inf|nan); expected a fin"
    ):
        resolve({"noise": {"type": "power", "k": float(value)}}, registry=registry)


def test_an_integer_beyond_64_bits_is_refused_for_every_plugin(registry):
    """Fault N13: and integers that fit into 64 bits."""
    with pytest.raises(
        ConfigError, match=r"noise\.needed: expected an integer, .* at most 92233720368"
    ):
        resolve({"noise": {"type": "odd", "needed": 2**63}}, registry=registry)
    with pytest.raises(
        ConfigError, match=r"noise\.needed: expected an integer, got -9223372036854"
    ):
        resolve({"noise": {"type": "odd", "needed": -(2**63) - 1}}, registry=registry)
    for value in (2**63 - 1, 1 - 2**63):
        result = resolve({"noise": {"type": "odd", "needed": value}}, registry=registry)
        assert value == result.config.noise.needed


def options(command, path):
    for parameter in command.params:
        yield (*path, parameter.name), parameter
    for name in getattr(command, "commands", {}):
        yield from options(command.commands[name], (*path, name))


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_an_option_s_number_has_both_bounds(name):
    """Fault T8, N13: so has every number of the command line."""
    command = cli.get_command(click.Context(cli), name)
    without = [
        " ".join(path)
        for path, parameter in options(command, (name,))
        if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
    ]

    assert [] == without
