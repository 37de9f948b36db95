"""The tables of an ablation as files: a row a trial for programs, a row an arm for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.contracts import Report
from aios_core.experiment.results import MARKS, NFE
from aios_core.experiment.statistics import interval
from aios_core.files import new_file, replace_text

if TYPE_CHECKING:
    from aios_core.contracts.report import AblationResults, Arm, Trial


@frozen
class Tables(Report):
    """A row a trial in ``trials.parquet``, a row an arm in ``table.csv`` and ``table.md``.

    In ``table.csv`` the mean over seeds stands under the name of a measure itself.
    """

    def write(self, results: AblationResults) -> Path:
        """Write all three; ``table.md`` is for people."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [_row(results, trial) for trial in results.trials]
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: _column([row.get(name) for row in rows]) for name in names}
        with new_file(results.folder / "trials.parquet") as temporary:
            pq.write_table(pa.table(columns), temporary)
        replace_text(results.folder / "table.csv", _csv(results))
        path = results.folder / "table.md"
        replace_text(path, markdown(results))
        return path


def _row(results: AblationResults, trial: Trial) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": trial.arm, **trial.settings, "seed": trial.seed}
    row |= {"baseline": trial.baseline, "status": trial.status}
    row |= {"reason": trial.result.get("reason")}
    measures = {**results.metrics(), **results.model_metrics()}
    measured = {**trial.result.get("metrics", {}), **trial.model.get("metrics", {})}
    for name in measures:
        row[name] = measured.get(name, {}).get("value")
        row[f"{name}_stderr"] = measured.get(name, {}).get("stderr")
    row |= {NFE: trial.result.get("nfe"), "seconds": trial.result.get("sampling_seconds")}
    row |= {"dtype": trial.result.get("dtype"), "trial_key": trial.key}
    return row | {"training_key": trial.training_key}


def _column(values: list[Any]) -> list[Any]:
    """Values that Arrow can take as they are, or as JSON where their types differ."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds <= {int, float}:
        return [float(v) if kinds == {int, float} and v is not None else v for v in values]
    return [None if value is None else json.dumps(value) for value in values]


def _csv(results: AblationResults) -> str:
    names = [*results.metrics(), NFE, "seconds", *results.model_metrics()]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    keys = list(dict.fromkeys(key for arm in results.arms for key in arm.settings))
    columns = [column for name in names for column in _columns(results, name)]
    writer.writerow(["arm", "baseline", *keys, "trials", "failed", *columns])
    for arm in results.arms:
        failed = sum(trial.status == "failed" for trial in arm.trials)
        cells: list[Any] = [arm.label, arm.baseline, *(arm.settings.get(key, "") for key in keys)]
        cells += [len(arm.trials), failed]
        for name in names:
            own, difference = arm.summary(name), results.difference(arm, name)
            cells += [own.n, own.mean, own.sd, own.low, own.high] if own else [0] + [None] * 4
            if results.by_distance(name):
                distances = results.judged(arm, name)
                cells.append(fmean(distances.values()) if distances else None)
            cells += (
                [difference.mean, difference.low, difference.high] if difference else [None] * 3
            )
            cells.append(results.verdict(arm, name))
        writer.writerow(cells)
    return file.getvalue()


def _columns(results: AblationResults, name: str) -> list[str]:
    """Of a measure, first its mean; differences are of distances where these are compared."""
    difference = "distance_difference" if results.by_distance(name) else "difference"
    return [
        *(f"{name}_n", name),
        *(f"{name}_{what}" for what in ("sd", "low", "high")),
        *([f"{name}_distance"] if results.by_distance(name) else []),
        *(f"{name}_{difference}{end}" for end in ("", "_low", "_high")),
        f"{name}_verdict",
    ]


def markdown(results: AblationResults) -> str:
    """The table for people: means with 95 % intervals, and differences to the baseline."""
    metrics = results.compared
    head = ["arm", "n", "NFE"]
    for name, about in metrics.items():
        head.append(f"{name} ({about['unit']})" if about["unit"] else name)
        distant = results.by_distance(name)
        head += [f"{name} distance", f"Δ {name} distance"] if distant else [f"Δ {name}"]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for arm in results.arms:
        done = [trial for trial in arm.trials if trial.status == "done"]
        cost = arm.summary(NFE)
        cells = [f"**{arm.label}** (baseline)" if arm.baseline else arm.label]
        cells += [str(len(done)), f"{cost.mean:.4g}" if cost else "—"]
        for name in metrics:
            cells.append(_cell(arm, name))
            cells += [interval(results.distance(arm, name))] if results.by_distance(name) else []
            cells.append(_difference(results, arm, name))
        lines.append(_line(cells))
    reference = [results.reference(name) for name in metrics]
    if any(value is not None for value in reference):
        cells = ["*held-out text*", "", ""]
        for name, value in zip(metrics, reference, strict=True):
            cells += ["—" if value is None else f"{value:.3f}", ""]
            cells += [""] if results.by_distance(name) else []
        lines.append(_line(cells))
    notes = [
        "",
        "Mean ± half of the 95 % interval over seeds (Student's t, n seeds); sd is the standard "
        "deviation between seeds; Δ is the paired difference to the baseline, same seeds, of the "
        "value or, where nearer to held-out text is better, of the distance from it. ▲ better and "
        "▼ worse: the interval of Δ excludes zero. One seed has no interval. " + _dtypes(results),
    ]
    if results.loses_text:
        notes[-1] += " Bits a byte are not given where a tokenizer loses a part of the text."
    failures = [trial for trial in results.trials if trial.status == "failed"]
    if failures:
        notes += ["", "Failed trials:", ""]
        notes += [
            f"- {trial.arm}, seed {trial.seed}: {_first_line(trial.result.get('reason'))}"
            for trial in failures
        ]
    return "\n".join([f"# {results.about['name']}", "", *lines, *notes, ""])


def _cell(arm: Arm, name: str) -> str:
    summary = arm.summary(name)
    text = interval(summary)
    return text if summary is None or summary.sd is None else f"{text} (sd {summary.sd:.3f})"


def _difference(results: AblationResults, arm: Arm, name: str) -> str:
    """What an arm is judged by less the baseline's, with its interval and its mark."""
    text = interval(results.difference(arm, name), sign="+")
    return f"{text} {MARKS[results.verdict(arm, name)]}".rstrip()


def _dtypes(results: AblationResults) -> str:
    dtypes = {t.result["dtype"] for t in results.trials if t.status == "done"}
    return f"Probabilities were sampled from in {', '.join(sorted(dtypes))}." if dtypes else ""


def _first_line(reason: str | None) -> str:
    return (reason or "").partition("\n")[0]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
