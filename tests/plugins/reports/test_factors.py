"""What varies between arms, and the lines and panels that they are drawn as."""

from aios_core.experiment.results import Arm
from aios_plugins.reports.html.factors import choices, curves, factors


def arms(*settings):
    return tuple(
        Arm(str(number), number == 0, setting, ()) for number, setting in enumerate(settings)
    )


GRID = arms(
    *(
        {"noise.type": noise, "sampler.type": sampler, "sampler.steps": steps, "backbone.dim": 8}
        for noise in ("cosine", "log")
        for sampler in ("dfm", "euler")
        for steps in (16, 4)
    )
)


def test_words_of_a_section_are_one_choice_and_each_number_is_its_own():
    settings = {"sampler.measure": "margin", "sampler.type": "confidence", "sampler.steps": 4}

    assert {"sampler": "confidence · margin", "sampler.steps": 4} == choices(settings)
    assert {"training": "True", "training.steps": 0.5} == choices(
        {"training.compile": True, "training.steps": 0.5}
    )


def test_a_factor_has_two_levels_at_least_numbers_ascending():
    result = {factor.name: factor for factor in factors(GRID)}

    assert {"noise", "sampler", "sampler.steps"} == result.keys()
    assert ("dfm", "euler") == result["sampler"].levels
    assert ((4, 16), True) == (result["sampler.steps"].levels, result["sampler.steps"].numeric)
    assert not result["noise"].numeric


def test_lines_are_choices_of_a_section_and_panels_all_else():
    result = curves(GRID, "sampler")

    assert ["cosine", "log"] == list(result.panels)
    assert ("dfm", "euler") == result.lines == tuple(result.panels["log"])
    assert ["0", "1"] == [arm.label for arm in result.panels["cosine"]["dfm"]]
    assert ["6", "7"] == [arm.label for arm in result.panels["log"]["euler"]]
    first = curves(
        arms(*({"noise.type": n, "sampler.steps": s} for n in "ab" for s in (1, 2))), "sampler"
    )
    assert ([""], ("a", "b")) == (list(first.panels), first.lines)
    numbers = arms(*({"backbone.dim": d, "sampler.type": s} for d in (8, 16) for s in "ab"))
    assert ["dim 8", "dim 16"] == list(curves(numbers, "sampler").panels)


def test_where_nothing_is_chosen_in_the_section_lines_are_the_first_that_varies():
    """And panels are all else."""
    both = arms(*({"noise.type": n, "backbone.dim": d} for n in "ab" for d in (8, 16)))
    result = curves(both, "sampler")

    assert (("a", "b"), ["dim 8", "dim 16"]) == (result.lines, list(result.panels))
    assert ["0"] == [arm.label for arm in result.panels["dim 8"]["a"]]
