"""How results look: a row on the screen, and a row of a Markdown table for points of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from result import Peer, Result, Value

WIDTHS = (72, 14, 28, 18, 10)


def number(given: float) -> str:
    """Three digits that count, four near 1, and thousands with commas."""
    if abs(given) >= 1000:
        return f"{given:,.0f}"
    if abs(given) >= 100:
        return f"{given:.0f}"
    return f"{given:.4g}" if 0.9 <= abs(given) < 1 else f"{given:.3g}"


def interval(given: Value | None) -> str:
    """A value, and its interval in brackets."""
    if given is None:
        return "-"
    limits = "" if given.low is None else f" ({number(given.low)} to {number(given.high)})"
    return number(given.value) + limits


def limit(result: Result) -> str:
    """A bar: of our value, or with an `x` of the ratio."""
    if result.bar is None:
        return "-"
    sign, edge = ("≤", result.bar.most) if result.bar.most is not None else ("≥", result.bar.least)
    return f"{sign} {number(edge)}" + ("x" if result.bar.of == "ratio" else "")


def row(*cells: str) -> str:
    """A row on the screen."""
    padded = [cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)]
    return " ".join([*padded, *cells[len(WIDTHS) :]]).rstrip()


def compact(result: Result) -> str:
    """A result on the screen."""
    peer, ratio = result.best_peer(), result.compared()
    theirs = "-" if peer is None else f"{peer.name} {interval(peer.value)}".removesuffix(" -")
    met = {None: "", True: "met", False: "MISSED"}[result.met()]
    what = ", ".join(filter(None, (result.what, result.at)))
    ours = "-" if result.ours is None else f"{interval(result.ours)} {result.unit}"
    times = "-" if ratio is None else f"{interval(ratio)}x" + (" BEHIND" * result.behind())
    return row(what, ours, theirs, times, limit(result), met)


def markdown(group: Sequence[Result], machine: str) -> str:
    """Points of one kind on one machine as one row: what, ours, peer, ratio, bar, met, machine."""
    first = group[0]
    ours = _joined(interval(r.ours) for r in group)
    if ours:
        ours += f" {first.unit}"
    peers = [result.best_peer() for result in group]
    names = list(dict.fromkeys(_peer(peer) for peer in peers if peer))
    values = _joined("-" if p is None else interval(p.value) for p in peers)
    theirs = ", ".join(filter(None, (" / ".join(names), values)))
    ratios = [result.compared() for result in group]
    times = _joined(
        f"**{interval(ratio)}**" if result.behind() else interval(ratio)
        for result, ratio in zip(group, ratios, strict=True)
    )
    bars = [limit(result) for result in group]
    bar = bars[0] if len(set(bars)) == 1 else " / ".join(bars)
    where = machine + ", by hand" * first.source.startswith("by hand")
    cells = [_named(group), ours, theirs, times, bar if bar != "-" else "", _verdict(group), where]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def losses(results: Sequence[Result]) -> Iterator[str]:
    """In a few words, results of one kind whose bar is missed or in which a peer is ahead."""
    missed = [result for result in results if result.met() is False]
    if missed:
        values = (r.ours if r.bar and r.bar.of == "ours" else r.compared() for r in missed)
        figures = " / ".join(interval(value) for value in values)
        bars = " / ".join(dict.fromkeys(limit(result) for result in missed))
        yield f"**missed**: {_named(missed)}: {figures}, bar {bars}"
    behind = [result for result in results if result.behind() and result not in missed]
    if behind:
        figures = " / ".join(interval(result.compared()) for result in behind)
        names = " / ".join(dict.fromkeys(r.best_peer().name for r in behind if r.best_peer()))
        yield f"**behind** {names}: {_named(behind)}: {figures}"


def _named(results: Sequence[Result]) -> str:
    """What was measured, with the words that all points begin or end with only once."""
    points = [result.at.split(" ") for result in results]
    first, last = [], []
    while len(points) > 1 and all(len(p) > 1 for p in points) and len({p[0] for p in points}) == 1:
        first.append(points[0][0])
        points = [point[1:] for point in points]
    while len(points) > 1 and all(len(p) > 1 for p in points) and len({p[-1] for p in points}) == 1:
        last.insert(0, points[0][-1])
        points = [point[:-1] for point in points]
    joined = " ".join([*first, " / ".join(" ".join(point) for point in points), *last])
    return ", ".join(filter(None, (results[0].what, joined)))


def _peer(peer: Peer) -> str:
    """A name with its version behind the first word, for settings follow that."""
    if peer.version is None:
        return peer.name
    name, _, settings = peer.name.partition(" ")
    comma = "," if name.endswith(",") else ""
    return f"{name.rstrip(',')} {peer.version}{comma} {settings}".rstrip()


def _joined(cells: Iterable[str]) -> str:
    cells = list(cells)
    return "" if set(cells) == {"-"} else " / ".join(cells)


def _verdict(group: Sequence[Result]) -> str:
    """Whether the bars are met, mostly or throughout, and if not all are, which are missed."""
    verdicts = [(result.at, result.met()) for result in group]
    missed = [at for at, met in verdicts if met is False]
    if not missed:
        if not any(met for _, met in verdicts):
            return ""
        return "yes" if all(result.throughout() for result in group) else "mostly"
    some = len(missed) < sum(met is not None for _, met in verdicts)
    return "**missed**" + (f" at {', '.join(missed)}" if some else "")
