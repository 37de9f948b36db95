"""What is asked of rows, and what a network was never asked."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core.config.schema import RolesConfig
from aios_core.contracts import Task
from aios_core.errors import InferenceError
from aios_core.joint.patterns import Pattern, Trained, patterns

NAMES = ("text", "image", "audio")
ROLES = RolesConfig()


@given(st.sets(st.sampled_from(["a", "b", "c", "d"]), min_size=1))
def test_probabilities_are_one_together_and_nothing_is_asked_twice(names):
    asked = patterns(names, ROLES, {})

    assert math.isclose(1, sum(asked.values()))
    for pattern in asked:
        assert pattern.made
        assert not pattern.made & pattern.given
        assert pattern.present <= names
    if len(names) > 1:
        assert math.isclose(0.5, sum(p for each, p in asked.items() if each.given), rel_tol=1e-9), (
            "as the role target says"
        )


def test_tasks_take_the_place_of_roles():
    tasks = {
        "read": Task(given=("image",), absent=("audio",), weight=3),
        "all": Task(),
        "none": Task(given=("video",)),
    }

    assert {
        Pattern(frozenset({"image"}), frozenset({"text"})): 0.75,
        Pattern(frozenset(), frozenset(NAMES)): 0.25,
    } == patterns(NAMES, ROLES, tasks)
    assert {Pattern(frozenset(), frozenset({"text"})): 1.0} == patterns(("text",), ROLES, tasks)


def test_what_was_never_trained_is_refused_by_name():
    """M4, M27."""
    roles = RolesConfig(alone=0, joint=0, one_clock=0)
    trained = Trained(frozenset(patterns(NAMES, roles, {})))
    trained.check(["text"], [["image"]], [])
    trained.check(["text"], [["image"], ["audio"]], [])

    with pytest.raises(InferenceError, match="image alone was never trained; expected a share"):
        trained.check([], [["image"]], [])
    with pytest.raises(InferenceError, match=r"image alone .*, which guidance by text asks"):
        trained.check(["text"], [["image"]], ["text"])
    trained.check(["text"], [["image", "audio"]], [])
    with pytest.raises(InferenceError, match="audio and image was never trained"):
        trained.check([], [["image", "audio"]], [])


def test_a_segment_with_a_time_of_its_own_stands_for_one_that_is_given():
    own = Trained(frozenset({Pattern(frozenset(), frozenset(NAMES))}))
    own.check(["text"], [["image", "audio"]], [])
    own.check([], [NAMES], [])
    clock = Trained(frozenset({Pattern(frozenset(), frozenset(NAMES), one_clock=True)}))
    clock.check([], [NAMES], [])

    with pytest.raises(InferenceError, match="audio and image from text was never trained"):
        clock.check(["text"], [["image", "audio"]], [])
    with pytest.raises(InferenceError, match="image from text was never trained"):
        own.check(["text"], [["image"]], [])


def test_by_its_defaults_all_that_is_asked_for_is_trained():
    trained = Trained(frozenset(patterns(NAMES, ROLES, {})))
    for made in NAMES:
        others = [name for name in NAMES if name != made]
        trained.check([], [[made]], [])
        for given_names in ([others[0]], [others[1]], others):
            trained.check(given_names, [[made]], given_names)
    trained.check([], [["text"], ["image", "audio"]], [])
    trained.check(["text"], [["image", "audio"]], ["text"])
