"""`aios uncertainty`: calibrate how unsure a model is, and score texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aios_core.cli.common import ExistingFile, json_option, print_json, print_table
from aios_core.cli.network import network_argument
from aios_core.cli.numbers import COUNT
from aios_core.contracts import Command
from aios_core.formats import texts_of
from aios_core.redaction import redacted
from aios_plugins.commands._common import progress

if TYPE_CHECKING:
    from aios_plugins.commands.uncertainty.screening import TextScore

_folder = network_argument(
    "folder", "DIR", click.Path(exists=True, file_okay=False, path_type=Path)
)
_file = ExistingFile()
_estimator = click.option(
    "--estimator",
    metavar="NAME",
    default="residual",
    show_default=True,
    help="Estimator that decides which texts the model is unsure of.",
)


@click.group()
def command() -> None:
    """Calibrate and measure how unsure a model is of texts.

    \b
    Examples:
      aios uncertainty calibrate runs/text --against BENCHMARKS.md
      aios uncertainty score runs/text --text "Return the file."
    """  # noqa: D301  # \b is for click


@command.command()
@_folder
@click.option(
    "--against",
    metavar="FILE",
    type=_file,
    help="File of texts of another kind: measure how well the scores distinguish them.",
)
@click.option(
    "--windows",
    default=256,
    show_default=True,
    type=COUNT,
    help="Calibrate on at most this many windows of held-out text, and measure on as many.",
)
@_estimator
@json_option
def calibrate(
    folder: Path, against: Path | None, windows: int, estimator: str, *, as_json: bool
) -> None:
    """Calibrate on half of the held-out texts of the run in DIR, and measure on the other half.

    The results are uncertainty.json, which `score` and the library read, and the report
    uncertainty.html.

    \b
    Examples:
      aios uncertainty calibrate runs/text
      aios uncertainty calibrate runs/text --against BENCHMARKS.md --json
    """  # noqa: D301  # \b is for click
    from aios_core.errors import require_extra

    require_extra("aios uncertainty calibrate", "ablate", "jinja2", "matplotlib")
    from aios_plugins.commands.uncertainty import page
    from aios_plugins.commands.uncertainty.calibrate import calibrate_run

    with progress("reading texts", (3 + (against is not None)) * windows) as on_progress:
        calibrated = calibrate_run(
            folder,
            against=against,
            windows=windows,
            estimator=estimator,
            on_progress=on_progress,
        )
    path = folder / "uncertainty.html"
    page.write(path, folder.resolve().name, calibrated, estimator)
    if as_json:
        print_json(calibrated | {"report": str(path)})
        return
    _print(calibrated)
    click.echo(f"\nreport: {path}")


@command.command()
@_folder
@click.argument("files", metavar="[FILE]...", nargs=-1, type=_file)
@click.option("--text", metavar="TEXT", multiple=True, help="A text; may be repeated.")
@_estimator
@click.option(
    "--keep",
    "place",
    metavar="PLACE",
    help="Add the texts that the model is unsure of to this store, so that `aios evolve` can "
    "learn from them.",
)
@json_option
def score(
    folder: Path,
    files: tuple[Path, ...],
    text: tuple[str, ...],
    estimator: str,
    place: str | None,
    *,
    as_json: bool,
) -> None:
    """Measure how unsure the model in DIR is of texts: of each --text, or each line of FILE.

    In a FILE that ends with .jsonl each line is an object with the key "text"; other kinds of files
    have readers too (`aios plugins list`). A text longer than the context of the model is read in
    windows. The noise is the standard error of the score.

    \b
    Examples:
      aios uncertainty score runs/text --text "Return the file."
      aios uncertainty score runs/text examples/sentences.txt --json
      aios uncertainty score runs/text examples/sentences.txt --keep runs/unsure
    """  # noqa: D301  # \b is for click
    named = [(f"text {number}", value) for number, value in enumerate(text, 1)]
    named += [pair for file in files for pair in texts_of(file)]
    texts = [value for _, value in named]
    if not texts:
        raise click.UsageError("expected --text, or a FILE with lines, got no text")
    from aios_core.inference import ArrowEngine
    from aios_core.memory import Place
    from aios_plugins.commands.uncertainty.screening import score_texts, store_uncertain

    where = None if place is None else Place.of(place)
    engine = ArrowEngine.load(folder, twin=False)
    model = engine.models[engine.mode]
    scored = score_texts(model, texts, estimator=estimator)
    if where is not None:
        kept = store_uncertain(scored, where, model.resolved)
        click.echo(f"kept in {redacted(where.uri)}: {kept} of {len(scored)}", err=True)
    if as_json:
        print_json(
            [
                {"where": where} | _plain(result)
                for (where, _), result in zip(named, scored, strict=True)
            ]
        )
        return
    rows = [
        (
            at,
            f"{result.score:+.2f}",
            f"{result.noise:.2f}",
            "unsure" if result.triggered else "",
            result.text[:60],
        )
        for (at, _), result in zip(named, scored, strict=True)
    ]
    print_table(("where", "score", "noise", "", "text"), rows)


def _plain(scored: TextScore) -> dict[str, Any]:
    import attrs

    return attrs.asdict(scored)


def _print(calibrated: dict[str, Any]) -> None:
    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.1%}"

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    print_table(
        ("estimator", "threshold", "false triggers", "on others", "rank corr. own", "all"),
        [
            (
                name,
                number(measures["threshold"]),
                share(measures["false_triggers"]),
                share(measures["triggers_on_others"]),
                number(measures["rank_correlation_own"]),
                number(measures["rank_correlation"]),
            )
            for name, measures in calibrated["estimators"].items()
        ],
    )
    click.echo()
    print_table(
        ("masks", "temperature", "nats before", "nats after", "ECE before", "ECE after"),
        [
            (
                f"{level['rate']:.0%}",
                f"{level['temperature']:.2f}",
                f"{level['nats_before']:.3f}",
                f"{level['nats_after']:.3f}",
                f"{level['ece_before']:.4f}",
                f"{level['ece_after']:.4f}",
            )
            for level in calibrated["levels"]
        ],
    )
    for level in calibrated["levels"]:
        if level["temperature"] != level["temperature_fitted"]:
            click.echo(
                f"{level['rate']:.0%} masks: the temperature {level['temperature_fitted']:.2f} "
                "makes the texts that measure less likely, so it is not kept"
            )


@frozen
class Uncertainty(Command):
    """Calibrate and measure how unsure a model is of texts."""

    def build(self) -> click.Command:
        """The command."""
        return command
