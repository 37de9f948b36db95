"""Evaluation of a network of several modalities: every direction, judged on held-out rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from aios_core.component import blamed
from aios_core.contracts.generations import Generated, Generations, JointMetric
from aios_core.errors import DataError, InferenceError, PluginError
from aios_core.experiment.evaluate import machine, overridden
from aios_core.files import replace_text
from aios_core.joint import items
from aios_core.joint.engine import JointEngine
from aios_core.joint.learner import held_out_losses
from aios_core.joint.material import Media
from aios_core.joint.trained import load
from aios_core.training import device as devices
from aios_core.training.trainer import train

if TYPE_CHECKING:
    from aios_core.config import Resolved
    from aios_core.contracts import Row
    from aios_core.joint.trained import TrainedJoint
    from aios_core.registry import Registry

KEPT = 10
"""Items of each direction that are kept as files."""


def run_joint(
    resolved: Resolved, folder: Path, media: Media, *, progress: bool = True
) -> tuple[Path, dict[str, Any]]:
    """Train a network of several modalities and measure it; keep the results.

    Args:
        resolved: the configuration.
        folder: of the run; what was trained there is not trained again.
        media: its data.
        progress: show a bar or, where there is no terminal, a few log lines.

    Returns:
        The checkpoint, and what `evaluate_joint` gives, which is also in ``evaluation.json``.
    """
    saved = train(resolved, folder, prepared=media, progress=progress)
    results = evaluate_joint(
        folder, registry=resolved.registry, media=media, keep=folder / "samples"
    )
    replace_text(folder / "evaluation.json", json.dumps(results, indent=1))
    return saved, results


def evaluate_joint(
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    media: Media | None = None,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Measure a run: its held-out losses, and what it makes of held-out rows in each direction.

    Args:
        folder: of a run.
        overrides: ``key=value`` each, of keys that leave the training as it was.
        registry: where components are looked up; None discovers the installed ones.
        media: its data, where they were read already.
        keep: a folder for the first items of each direction; None: none are kept.

    Raises:
        ModelLoadError: the folder holds no checkpoint, or a damaged one.
        ConfigError: an override is wrong, or would need another training.
        DataError: the rows are not those that the run was trained on.
    """
    trained = load(folder, registry=registry)
    resolved = overridden(trained, overrides)
    config = resolved.config
    media = media or Media.of(resolved)
    if media.fingerprint != trained.state.texts:
        raise DataError(f"{folder}: was trained on other rows than there are now in {media}")
    device = devices.choose(config.training)
    trained = attrs.evolve(trained, resolved=resolved)
    trained.model.to(device)
    losses = held_out_losses(config, media.rows, trained.model)
    held_out = tuple(config.dataset.rows("validation"))
    engine = JointEngine(trained)
    directions = tuple(_made(engine, held_out))
    if keep is not None:
        _keep(directions, trained, keep)
    seen = Generations(
        config.seed,
        tuple(config.dataset.rows("train")),
        held_out,
        directions,
        {name: items.media_type(codec) for name, codec in trained.codecs.items()},  # type: ignore[misc]
    )
    metrics: dict[str, Any] = {}
    for metric in config.metrics:
        if not isinstance(metric, JointMetric):
            continue
        with blamed(metric, "judge"):
            values = metric.judge(seen)
        for name, estimate in values.items():
            if name in metrics:
                raise PluginError(f"two metrics give a value named {name!r}; remove one of them")
            last = name.rpartition(".")[2]
            metrics[name] = {
                **attrs.asdict(estimate),
                "unit": metric.units.get(last),
                "better": metric.better.get(last),
            }
    return {
        "model": {
            "mode": "joint",
            "losses": losses,
            "parameters": trained.model.num_parameters(),
            "trunk_share": trained.model.trunk_share(),
            "rows": len(media.rows.held_out),
            "machine": machine(device),
            "steps": trained.state.step,
        },
        "samples": {
            "metrics": metrics,
            "samples": config.sampling.num_samples,
            "guidance_scale": config.evaluation.guidance_scale,
            "nfe": {each.name: each.nfe for each in directions},
        },
    }


def _made(engine: JointEngine, held_out: Sequence[Row]) -> Iterator[Generated]:
    """Each segment from each other, and all from nothing, as far as it was trained."""
    trained = engine.trained
    names, config = list(trained.codecs), trained.resolved.config
    pairs: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        ((given,), (made,)) for given in names for made in names if given != made
    ]
    if len(names) > 1:
        pairs.append(((), tuple(names)))
    for given, made in pairs:
        rows = [row for row in held_out if {*given, *made} <= _names(row)]
        if not rows:
            continue
        count = config.sampling.num_samples
        chosen = [rows[number % len(rows)] for number in range(count)]
        try:
            yield _direction(engine, given, made, chosen)
        except InferenceError as error:
            if "never trained" not in str(error):
                raise


def _direction(
    engine: JointEngine, given: tuple[str, ...], made: tuple[str, ...], rows: Sequence[Row]
) -> Generated:
    config = engine.trained.resolved.config
    size, collected = config.sampling.batch_size, {name: [] for name in made}  # type: ignore[var-annotated]
    nfe = 0
    texts = [n for n, c in engine.trained.codecs.items() if items.media_type(c) == "text/plain"]
    order = None
    if not given and any(name in texts for name in made):  # what is said first decides the rest
        order = [[n for n in made if n in texts], [n for n in made if n not in texts]]
        order = [stage for stage in order if stage]
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        output = engine.batch(
            {name: [_content(row, name) for row in part] for name in given},
            to=made,
            first=start,
            count=len(part),
            guidance_scale=config.evaluation.guidance_scale,
            order=order,
        )
        nfe = output.nfe
        for name in made:
            collected[name] += output.items[name]
    return Generated(given, made, tuple(rows), collected, nfe)


def _names(row: Row) -> set[str]:
    return {segment.name for segment in row.segments if segment.role != "absent"}


def _content(row: Row, name: str) -> Any:
    return next(segment.content for segment in row.segments if segment.name == name)


def _keep(directions: Sequence[Generated], trained: TrainedJoint, folder: Path) -> None:
    """The first items of each direction as files: ``text>image/image-0.png``."""
    for each in directions:
        place = folder / each.name.replace(">", "-to-").strip("-")
        place.mkdir(parents=True, exist_ok=True)
        for name in each.made:
            for number, item in enumerate(each.items[name][:KEPT]):
                items.write(place, name, number, trained.codecs[name].show(item))


def is_joint(folder: Path) -> bool:
    """Whether a folder holds a run of several modalities; False where it holds no run at all."""
    from aios_core.joint.material import ASKED, FOLDER

    runs = (folder, folder.absolute().parent.parent)
    return any((run / FOLDER / ASKED).is_file() for run in runs)
