"""The report of a calibration: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_core.files import replace_text
from aios_plugins._drawing import FAINT, INK, MARKERS, SERIES, environment, picture, style

if TYPE_CHECKING:
    from markupsafe import Markup

_SIZE = (5.6, 3.9)


def write(path: Path, name: str, results: dict[str, Any], estimator: str) -> None:
    """Write the page.

    Args:
        path: of the file.
        name: of the run.
        results: what `calibrate_run` returns.
        estimator: the one whose scores are drawn.
    """
    page = (
        environment("aios_plugins.commands.uncertainty")
        .get_template("uncertainty.html.jinja")
        .render(
            name=name,
            results=results,
            estimator=estimator,
            reliability=[
                (f"{when} the temperatures", reliability(results, f"bins_{when}", when))
                for when in ("before", "after")
            ],
            coverage=coverage(results),
            scores=scores(results, estimator),
        )
    )
    replace_text(path, page)


def reliability(results: dict[str, Any], bins: str, when: str) -> Markup:
    """Share that is right against how sure the network was, by share of masks."""
    from matplotlib.figure import Figure

    with style(f"reliability {when}"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1.2)
        for number, level in enumerate(results["levels"]):
            sure, right, _ = zip(*level[bins], strict=True)
            axes.plot(
                sure,
                right,
                color=SERIES[number],
                marker=MARKERS[number],
                label=f"{level['rate']:.0%} masks",
            )
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_xlabel("probability of the likeliest token")
        axes.set_ylabel("share that is right")
        axes.legend(frameon=False, fontsize=9.5)
        return picture(figure, f"Reliability {when} the temperatures, by share of masks")


def coverage(results: dict[str, Any]) -> Markup:
    """Share that is wrong among the surest predictions."""
    from matplotlib.figure import Figure

    with style("risk coverage"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        curve = results["risk_coverage"]
        axes.plot(curve["coverage"], curve["risk"], color=SERIES[0])
        axes.axhline(curve["risk"][-1], color=FAINT, linestyle="--", linewidth=1.2)
        axes.set(xlim=(0, 1), ylim=(0, None))
        axes.set_xlabel("coverage: share of predictions that is kept, the surest first")
        axes.set_ylabel("risk: share of these that is wrong")
        return picture(figure, "Risk against coverage; dashed, the risk of all predictions")


def scores(results: dict[str, Any], estimator: str) -> Markup:
    """True error against the score, of both kinds of texts."""
    from matplotlib.figure import Figure

    with style("scores"):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        measures = results["estimators"][estimator]
        kinds = (("own", "held-out texts"), ("others", "other texts"))
        for number, (kind, label) in enumerate(kinds):
            if measures[kind]:
                axes.plot(
                    measures[kind],
                    results["error"][kind],
                    color=SERIES[number],
                    marker=MARKERS[number],
                    linestyle="",
                    markersize=3.5,
                    alpha=0.6,
                    label=label,
                )
        axes.axvline(measures["threshold"], color=INK, linestyle="--", linewidth=1.2)
        axes.set_xlabel(f"uncertainty by {estimator}; dashed, the threshold")
        axes.set_ylabel("true error: NELBO (nats/token)")
        axes.legend(frameon=False, fontsize=9.5)
        return picture(figure, "True error of each text against how unsure the network was")
