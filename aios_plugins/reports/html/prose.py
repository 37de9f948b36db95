"""The findings of an ablation in words: what a reader takes home who reads one paragraph."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Final

from attrs import frozen
from markupsafe import Markup

from aios_core.experiment.results import NFE
from aios_core.experiment.statistics import interval, paired
from aios_plugins.reports.html.factors import factors

if TYPE_CHECKING:
    from aios_core.contracts.report import AblationResults, Arm, Summary


SHARE: Final = "share"
"""Unit of a metric from 0 to 1 that is said in percent."""

_NAMED: Final = 3
"""Arms up to which all are named."""


@frozen
class Tile:
    """A number that deserves to be large."""

    value: str
    label: str
    note: str


def sentences(results: AblationResults) -> list[Markup]:
    """The summary, a sentence each: what was found first, with the numbers it rests on."""
    metric = results.headline
    sentences: list[Markup] = []
    best = results.best(metric) if metric else None
    if metric and best:
        sentences += _finding(results, metric, best[0])
        sentences += _contradicted(results, metric, best[0])
        sentences += _cheapest(results, metric, best[0])
    sentences += _learned(results)
    seeds = max(len(arm.by_seed(NFE)) for arm in results.arms)
    if seeds < 2:
        sentences.append(Markup("Every arm ran with one seed (n = 1), so there are no intervals."))
    elif seeds == 2:
        sentences.append(Markup("Two seeds give wide intervals (one degree of freedom)."))
    failed = sum(trial.status == "failed" for trial in results.trials)
    if failed:
        text = Markup("<strong>{} of {} trials failed</strong>; the reasons are below.")
        sentences.append(text.format(failed, len(results.trials)))
    return sentences


def scope(results: AblationResults) -> str:
    """What was compared."""
    varied = [
        f"{factor.name}: {', '.join(map(str, factor.levels))}" for factor in factors(results.arms)
    ]
    seeds = len({trial.seed for trial in results.trials})
    many = f"{len(results.arms)} arms with {seeds} seeds" if seeds > 1 else "One seed an arm"
    return ". ".join((many, "; ".join(varied) or "nothing varied but the seed"))


def tiles(results: AblationResults) -> list[Tile]:
    """The main numbers."""
    shown = []
    metric = results.headline
    best = results.best(metric) if metric else None
    if metric and best:
        unit = results.compared[metric]["unit"]
        what = "smallest distance of" if results.by_distance(metric) else "best"
        label = f"{what} {metric}" if unit in (None, SHARE) else f"{what} {metric} ({unit})"
        shown.append(Tile(_value(results, metric, best[0]).striptags(), label, best[0].label))
        reference = results.reference(metric)
        if reference is not None and unit != SHARE:  # all of them are right
            shown.append(Tile(number(reference), f"{metric} of held-out text", "for comparison"))
    shown += _networks(results)
    done = sum(trial.status == "done" for trial in results.trials)
    trainings = len({model["training_key"] for model in results.models.values()})
    note = f"in {len(results.arms)} arms, sharing {trainings} trainings"
    shown.append(Tile(f"{done} / {len(results.trials)}", "trials done", note))
    costs = [cost.mean for arm in results.arms if (cost := arm.summary(NFE))]
    if costs:
        few, many = number(min(costs)), number(max(costs))
        span = few if few == many else f"{few} to {many}"
        shown.append(Tile(span, "network calls a batch", "what a text costs"))
    return shown


def number(value: float) -> str:
    """Three digits that count, and all of those before the point."""
    return f"{value:#.3g}".rstrip(".") if abs(value) < 100 and value % 1 else f"{value:.0f}"


def _finding(results: AblationResults, metric: str, best: Arm) -> list[Markup]:
    """Which arm is best by a metric, and whether the seeds say so."""
    rivals, value = results.rivals(best.label, metric), _value(results, metric, best)
    if not rivals:
        text = Markup("By {}, <strong>{}</strong> is better than every other arm: {}.")
        sentences = [text.format(metric, best.label, value)]
    elif results.verdict(best, metric) == "better" or len(best.by_seed(metric)) < 2:
        text = Markup("By {}, <strong>{}</strong> has the best value: {}.")
        sentences = [text.format(metric, best.label, value)]
    else:
        text = Markup(
            "By {}, <strong>the seeds do not show which arm is best</strong>: {} has the best "
            "mean, {}, but the intervals of its differences to {} of {} others include zero."
        )
        others = len(results.arms) - 1
        sentences = [text.format(metric, best.label, value, len(rivals), others)]
    if best is not results.baseline:
        sentences.append(_against_baseline(results, metric, best))
    if rivals and results.verdict(best, metric) == "better":
        text = Markup("The seeds do not tell it from {} of the {} other arms{}.")
        few = ", ".join(arm.label for arm in rivals) if len(rivals) <= _NAMED else ""
        sentences.append(text.format(len(rivals), len(results.arms) - 1, few and f": {few}"))
    return sentences


def _value(results: AblationResults, metric: str, arm: Arm) -> Markup:
    """What an arm is judged by, its mean in bold."""
    mean = fmean(results.judged(arm, metric).values())
    if results.compared[metric]["unit"] == SHARE:
        return Markup("<strong>{:.1f} %</strong>").format(100 * mean)
    what = " from held-out text" if results.by_distance(metric) else ""
    return Markup("<strong>{}</strong>{}").format(number(mean), what)


def _against_baseline(results: AblationResults, metric: str, best: Arm) -> Markup:
    baseline = results.baseline.label
    difference = results.difference(best, metric)
    if difference is None:
        return Markup("No seed has both it and the baseline, {}.").format(baseline)
    what = "distance" if results.by_distance(metric) else "value"
    text = Markup("Its {} less that of the baseline, {} ({}), is <strong>{}</strong>").format(
        what,
        baseline,
        _value(results, metric, results.baseline),
        _spread(results, metric, difference, sign="+"),
    )
    if difference.low is None:
        return text + " by one seed, so without an interval."
    return text + f", an interval that {'ex' if difference.excludes_zero else 'in'}cludes zero."


def _spread(results: AblationResults, metric: str, gap: Summary, sign: str = "") -> str:
    """A difference with its interval; of shares in points."""
    if results.compared[metric]["unit"] != SHARE:
        return interval(gap, sign)
    half = "" if gap.high is None else f" ± {100 * (gap.high - gap.mean):.1f}"
    return f"{100 * gap.mean:{sign}.1f}{half} points"


def _contradicted(results: AblationResults, metric: str, best: Arm) -> list[Markup]:
    """Where other metrics speak for the baseline: a text that repeats itself is a likely one."""
    scores = {
        name: [results.scores(arm, name) for arm in (best, results.baseline)]
        for name in results.metrics()
        if name != metric
    }
    against = [
        name
        for name, (own, other) in scores.items()
        if own and other and fmean(own.values()) > fmean(other.values())
    ]
    if not against:
        return []
    text = Markup(
        "By {} the baseline is better: <strong>no one number says which texts are good</strong>."
    )
    return [text.format(", ".join(against))]


def _cheapest(results: AblationResults, metric: str, best: Arm) -> list[Markup]:
    """What the lowest cost buys, and how far it is from the best."""
    costs = {arm.label: nfe.mean for arm in results.arms if (nfe := arm.summary(NFE))}
    lowest = min(costs.values())
    top = costs.get(best.label, lowest)
    cheap = [arm for arm in results.arms if costs.get(arm.label) == lowest]
    scored = [(arm, scores) for arm in cheap if (scores := results.scores(arm, metric))]
    if top < 1.5 * lowest or not scored:
        return []
    arm, scores = min(scored, key=lambda pair: fmean(pair[1].values()))
    gap = paired(scores, results.scores(best, metric))
    text = Markup("For {:.0f} % of its network calls, <strong>{}</strong> has {}").format(
        100 * lowest / top, arm.label, _value(results, metric, arm)
    )
    return [text + ("." if gap is None else f" ({_spread(results, metric, gap)} worse).")]


def _learned(results: AblationResults) -> list[Markup]:
    """Whether the networks know more of held-out text than how often each token is in it."""
    measured = [model["result"] for model in results.models.values() if not model["twin"]]
    pairs = [
        (measure["value"], result["yardsticks"])
        for result in measured
        for measure in result.get("metrics", {}).values()
        if measure["unit"] == "nats/token" and result.get("yardsticks")
    ]
    if not pairs:
        return []
    counts = [yardsticks["unigram"] for _, yardsticks in pairs]
    known = [(value, few) for (value, _), few in zip(pairs, counts, strict=True) if value < few]
    text = Markup("On held-out text the networks reach {} nats a token, counts of tokens alone {}")
    said = text.format(_span([value for value, _ in pairs]), _span(counts))
    if not known:
        return [said + Markup(": <strong>they have learned no more than word counts</strong>.")]
    some = len(known) < len(pairs)
    return [said + (": not all have learned more than word counts." if some else ".")]


def _span(values: list[float]) -> str:
    return " to ".join(dict.fromkeys((number(min(values)), number(max(values)))))


def _networks(results: AblationResults) -> list[Tile]:
    """How well the networks know held-out text, next to their twin."""
    bits: dict[bool, list[float]] = {}
    for model in results.models.values():
        for measure in model["result"].get("metrics", {}).values():
            if measure["unit"] == "bits/byte":
                bits.setdefault(model["twin"], []).append(measure["value"])
    if False not in bits:
        return []
    spans = {twin: _span(values) for twin, values in bits.items()}
    note = f"autoregressive twin: {spans[True]}" if True in spans else "diffusion networks"
    return [Tile(spans[False], "bits a byte of held-out text", note)]
