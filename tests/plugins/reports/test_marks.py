"""What tables and page mark is what the numbers beside the mark say, whatever was measured."""

import csv
import io
import re

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.experiment.statistics import Summary, interval, summarise
from aios_core.testing.results import made_up
from aios_plugins.reports.html.figures import main_effects
from aios_plugins.reports.html.page import _facts, render
from aios_plugins.reports.html.prose import SHARE, sentences
from aios_plugins.reports.tables import _csv, markdown

DEMO = {"base": (8.301, 7.926), "other": (5.929, 4.991)}
"""Values of two seeds each, from a demo whose held-out texts have 5.260."""

SHOWN = re.compile(r"([+-]\d+\.\d+) ± (\d+\.\d+)")


def results(values, better, reference=None):
    return made_up(None, values, better, reference)


def marked(text):
    """Whether a difference as it is shown excludes zero, and the mark behind it."""
    mean, half = map(float, SHOWN.search(text).groups())
    return abs(mean) > half, text[-1] if text[-1] in "▲▼" else ""


def of_the_second_arm(ablated):
    """The difference of the second arm in table.md, table.csv and the page, and its verdicts."""
    table = [line for line in markdown(ablated).splitlines() if line.startswith("| other")]
    shown = table[0].rstrip("| ").rpartition("| ")[2]
    row = list(csv.DictReader(io.StringIO(_csv(ablated))))[1]
    return shown, row, re.search(r"Δ ([+-][^<]*±[^<]*)(?:<[^>]*>([▲▼]))?", render(ablated))


def test_each_arm_is_as_near_as_it_is_to_its_own_held_out_texts():
    """Fault N19: those of another tokenizer or length have another value of the metric."""
    result = results({"base": (3.0, 3.2), "other": (5.0, 5.1)}, "nearer", {"base": 4, "other": 5})
    base, other = result.arms

    assert [1.0, 0.8] == pytest.approx([*result.judged(base, "m").values()])
    assert [0.0, 0.1] == pytest.approx([*result.judged(other, "m").values()])
    assert "other" == result.best("m")[0].label
    assert result.reference("m") is None
    assert "held-out text*" not in markdown(result)
    assert "4.000" not in render(result)


def test_a_mark_is_judged_by_the_difference_that_is_shown():
    """Fault N19: distances decide where nearer to held-out text is better, and stand there."""
    result = results(DEMO, "nearer", 5.260)

    shown, row, page = of_the_second_arm(result)

    assert "-2.38" == shown[:5]
    assert result.difference(result.arms[1], "m") == summarise(
        [abs(b - 5.260) - abs(a - 5.260) for a, b in zip(*DEMO.values(), strict=True)]
    )
    assert "▲" == shown[-1] == page[2]
    assert "better" == row["m_verdict"]
    assert page[1].strip() == shown[:-1].strip()
    assert shown.startswith(f"{float(row['m_distance_difference']):+.3f}")
    assert 0.469 == pytest.approx(float(row["m_distance"]), abs=1e-9)


numbers = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 3))
samples = st.integers(2, 4).flatmap(lambda n: st.lists(numbers, min_size=n, max_size=n))


@pytest.mark.slow
@given(
    st.tuples(samples, samples),
    st.sampled_from(["lower", "higher", "nearer", None]),
    st.none() | numbers,
)
@settings(max_examples=30)
def test_marks_stand_exactly_where_the_interval_shown_excludes_zero(values, better, reference):
    """Fault N19: in table.md, table.csv and the page."""
    result = results(dict(zip(("base", "other"), values, strict=True)), better, reference)
    directed = better in ("lower", "higher") or (better == "nearer" and reference is not None)

    shown, row, page = of_the_second_arm(result)

    excludes, mark = marked(shown)
    assert bool(mark) == (excludes and directed)
    assert mark == (page[2] or "")
    assert page[1].strip() == shown.rstrip("▲▼ ").strip()
    assert {"▲": "better", "▼": "worse", "": ""}[mark] == row["m_verdict"]
    name = next(key for key in row if key.endswith("difference_low"))
    low, high = float(row[name]), float(row[name.replace("_low", "_high")])
    assert excludes == (not low <= 0 <= high)


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_enough_digits_are_shown_to_see_whether_zero_is_excluded(mean, half):
    """Fault N19: "-0.000 ± 0.000" says nothing."""
    summary = Summary(3, mean, half, mean - half, mean + half)

    shown = [float(part) for part in interval(summary).split(" ± ")]

    assert summary.excludes_zero == (abs(shown[0]) > shown[1]) or abs(abs(mean) - half) < 1e-12


@pytest.mark.parametrize(
    ("better", "nearest"), [("nearer", "above"), ("lower", "below"), ("higher", "far above")]
)
def test_best_is_by_distance_where_nearer_is_better(better, nearest):
    """Fault N19: arms above and below the reference; the one far below does not win."""
    values = {"below": (1.0, 1.1), "above": (5.5, 5.6), "far above": (9.0, 9.1)}
    result = results(values, better, 5.0)

    arm, certain = result.best("m")

    assert (nearest, True) == (arm.label, certain)
    assert f"<strong>{nearest}</strong>" in str(sentences(result)[0])


def test_best_is_not_certain_where_one_interval_includes_zero():
    """Fault E11: two seeds give intervals that only a note explains."""
    result = results({"a": (1.0, 1.2), "b": (1.1, 1.15), "c": (9.0, 9.1)}, "lower")

    assert ("a", False) == (result.best("m")[0].label, result.best("m")[1])
    assert ["b"] == [arm.label for arm in result.rivals("a", "m")]
    assert "the seeds do not show which arm is best" in sentences(result)[0]
    assert "Two seeds give wide intervals (one degree of freedom)." in sentences(result)


def test_main_effects_are_of_distances_where_nearer_is_better():
    """Fault N19: a level above and one below the reference are compared by how far they are."""
    (panel,) = main_effects(results({"base": (3.0, 3.2), "other": (5.5, 5.7)}, "nearer", 5.0), "m")

    assert "distance of m (nats) from held-out text" in str(panel.svg)
    assert "base: 1.900; other: 0.600" in str(panel.svg)


def test_the_summary_is_short():
    """Fault N19: its first paragraph said fourteen numbers, and not what was found."""
    result = results({**DEMO, "third": (5.0, 5.1)}, "nearer", 5.260)
    text = re.sub(r"<[^>]*>", "", " ".join(map(str, sentences(result))))

    assert len(re.findall(r"\d+(?:\.\d+)?", text)) <= 7
    assert attrs.evolve(result.trials[0]).status == "done"


def measured_networks(nelbo):
    """Three arms, of which each has a network's measure besides."""
    result = results({"base": (1.0, 2.0), "other": (3.0, 5.0), "third": (2.0, 2.5)}, "lower")
    trials = tuple(
        attrs.evolve(
            trial, model={"metrics": {"nelbo": {"value": nelbo[trial.arm], "better": "higher"}}}
        )
        for trial in result.trials
    )
    about = {"unit": "nats/token", "better": "higher"}
    models = {
        "own": {"twin": False, "result": {"metrics": {"nelbo": about}}},
        "twin": {"twin": True, "result": {"metrics": {"nll": about}}},
        "missing": {"twin": False, "result": {}},
    }
    return attrs.evolve(result, trials=trials, models=models)


def test_networks_are_compared_where_arms_differ_in_them():
    same = measured_networks({"base": 4.0, "other": 4.0, "third": 4.0})
    differ = measured_networks({"base": 4.0, "other": 4.0, "third": 3.5})

    assert (["m"], ["m", "nelbo"]) == (list(same.compared), list(differ.compared))
    assert ["nelbo"] == list(differ.model_metrics())
    assert "m" == differ.headline
    values = differ.trials[0].values
    assert {"m": 1.0, "nelbo": 4.0, "nfe": 4.0, "seconds": 1.0} == values
    failed = attrs.evolve(differ.trials[0], result={"status": "failed"})
    assert ({}, "failed") == (failed.values, failed.status)
    assert "missing" == attrs.evolve(failed, result={}).status


def test_arms_are_judged_by_their_own_direction():
    """Higher is better of one, lower of the other; paired, seed by seed."""
    result = measured_networks({"base": 4.0, "other": 4.0, "third": 3.5})
    base, other, third = result.arms

    assert {0: 1.0, 1: 2.0} == result.scores(base, "m")
    assert {0: -4.0, 1: -4.0} == result.scores(base, "nelbo")
    assert {0: 3.0, 1: 5.0} == result.judged(other, "m")
    assert 2.5 == result.difference(other, "m").mean
    assert result.difference(base, "m") is None
    assert ("base", False) == (result.best("m")[0].label, result.best("m")[1])
    assert ["other", "third"] == [arm.label for arm in result.rivals("base", "m")]
    assert result.best("nothing") is None
    assert (None, {}) == (base.summary("nothing"), result.scores(base, "nothing"))
    assert (2, 1.5) == (base.summary("m").n, base.summary("m").mean)
    assert base is result.baseline
    plain = tuple(attrs.evolve(trial, baseline=trial.arm == "third") for trial in result.trials)
    assert "third" == attrs.evolve(result, trials=plain).baseline.label
    none = tuple(attrs.evolve(trial, baseline=False) for trial in result.trials)
    assert "base" == attrs.evolve(result, trials=none).baseline.label
    assert {"noise.type": "third"} == third.settings, "the seed is none of them"


@pytest.mark.parametrize(
    ("reached", "end"),
    [
        ((2.25, 2.5), "counts of tokens alone 3.14."),
        ((2.25, 3.5), "counts of tokens alone 3.14: not all have learned more than word counts."),
        ((3.25, 3.5), "<strong>they have learned no more than word counts</strong>."),
    ],
)
def test_the_summary_says_whether_more_than_word_counts_was_learned(reached, end):
    """Section 2, 6 of `Everything else`: nobody could see it in a bare NELBO."""
    yardsticks = {"uniform": 5.5, "unigram": 3.14}

    def model(nats, *, twin=False):
        measure = {"value": nats, "stderr": 0.1, "unit": "nats/token", "better": "lower"}
        result = {"metrics": {"nelbo": measure}, "yardsticks": yardsticks, "status": "done"}
        return {"twin": twin, "seed": 0, "training_key": "t", "settings": {}, "result": result}

    models = {str(nats): model(nats) for nats in reached} | {"twin": model(9.0, twin=True)}
    outcome = attrs.evolve(results({"a": (1.0, 1.2)}, "lower"), models=models)
    (said,) = (text for text in sentences(outcome) if "counts of tokens" in text)

    assert f"the networks reach {reached[0]:.2f} to {reached[1]:.2f} nats a token" in said
    assert said.endswith(end)
    facts = dict(_facts(outcome))
    assert "3.14" == facts["unigram yardstick, nats a token"]
    assert "5.5" == facts["uniform yardstick, nats a token"]


def test_what_is_clearly_better_than_the_baseline_is_said_first_in_percent():
    """Other arms may be as good: that comes behind it."""
    solved = {"base": (0.40, 0.44), "sure": (0.99, 1.0), "also": (0.98, 1.0)}
    shown = made_up(None, solved, "higher")
    for trial in shown.trials:
        trial.result["metrics"]["m"]["unit"] = SHARE
    shown = attrs.evolve(shown)

    first, *rest = map(str, sentences(shown))

    assert "By m, <strong>sure</strong> has the best value: <strong>99.5 %</strong>." == first
    assert "base (<strong>42.0 %</strong>), is <strong>+57.5 ± 19.1 points</strong>" in rest[0]
    assert "an interval that excludes zero" in rest[0]
    assert "The seeds do not tell it from 1 of the 2 other arms: also." == rest[1]
