"""The shape of a measured result, and of the files that keep results.

A file `results/AREA-MACHINE.json` holds what one machine measured in one area, one result a line:

    {"area": "startup", "machine": "amd-epyc-f26m2-2c", "results": [
    {"what": "aios --help", "unit": "s", "better": "lower", "ours": 0.06, ...}
    ]}

`machines/MACHINE.json` describes the machine. A result is identified by `what` and `at`; measuring
it again on the same machine replaces it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

RESULTS = Path(__file__).with_name("results")
MACHINES = RESULTS / "machines"

Detail = int | float | str | bool | None


@frozen
class Value:
    """A number, and where it is known the interval it lies in; `how` of the result says which."""

    value: float
    low: float | None = None
    high: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what is no number, and an interval that is half known or upside down."""
        known = [number for number in (self.low, self.value, self.high) if number is not None]
        if not all(math.isfinite(number) for number in known):
            raise ValueError(f"expected finite numbers, got {self}")
        if (self.low is None) != (self.high is None) or known != sorted(known):
            raise ValueError(f"expected low <= value <= high, or neither limit, got {self}")


@frozen
class Peer:
    """Another program measured beside ours; without a value only the ratio to it is known."""

    name: str
    version: str | None = None
    value: Value | None = None


@frozen
class Bar:
    """What was asked for, before it was measured: a limit of our value or of the ratio."""

    of: Literal["ours", "ratio"]
    most: float | None = None
    least: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a bar without a limit or with two."""
        if self.of not in {"ours", "ratio"} or (self.most is None) == (self.least is None):
            raise ValueError(f"expected one limit, of 'ours' or of 'ratio', got {self}")

    def met(self, value: float) -> bool:
        """Whether a value keeps the limit."""
        if self.most is not None:
            return value <= self.most
        return self.least is not None and value >= self.least


@frozen
class Result:
    """One measurement of ours, alone or beside peers."""

    what: str
    """What is measured, sizes included: "exact query of 1,000,000 rows, float32"."""
    unit: str
    better: Literal["lower", "higher"]
    date: str
    """YYYY-MM-DD: when it was measured; of results by hand, when they were written down."""
    commit: str
    """Of the code that was measured, with a `+` if the tree had changes; of results by hand, the
    commit that wrote them down."""
    source: str
    """The command that measured it; or "by hand, commit ..."."""
    at: str = ""
    """One point of several that belong together: "batch 8". The page shows them in one row."""
    ours: Value | None = None
    peers: tuple[Peer, ...] = ()
    ratio: Value | None = None
    """How many times better ours is than the best peer: above 1 ours is ahead."""
    bar: Bar | None = None
    headline: bool = False
    """Whether the page gives it a row; missed bars and leading peers it names in any case."""
    how: str = ""
    """Sizes, rounds, what an interval is, and whatever else a reader must know."""
    details: dict[str, Detail] = field(factory=dict)
    """Further figures of the same measurement, units in their names."""

    def __attrs_post_init__(self) -> None:
        """Refuse what the page could not show."""
        if self.better not in {"lower", "higher"}:
            raise ValueError(f"{self.what}: expected better lower or higher, got {self.better!r}")
        if self.ours is None and self.ratio is None:
            raise ValueError(f"{self.what}: expected a value of ours or a ratio, got neither")
        if self.bar is not None and getattr(self, self.bar.of) is None and self.compared() is None:
            raise ValueError(f"{self.what}: a bar of {self.bar.of} needs that figure")

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it in its file."""
        return self.what, self.at

    def best_peer(self) -> Peer | None:
        """The best of those with a value; the first, if only the ratio is known."""
        valued = [peer for peer in self.peers if peer.value is not None]
        if not valued:
            return self.peers[0] if self.peers else None
        sign = 1 if self.better == "lower" else -1
        return min(valued, key=lambda peer: sign * peer.value.value)

    def compared(self) -> Value | None:
        """The ratio: as measured, or of our value and the best peer's."""
        peer = self.best_peer()
        if self.ratio is not None or self.ours is None or peer is None or peer.value is None:
            return self.ratio
        ours, theirs = self.ours.value, peer.value.value
        above, below = (theirs, ours) if self.better == "lower" else (ours, theirs)
        return Value(above / below) if above and below else None

    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar."""
        if self.bar is None:
            return None
        figure = self.ours if self.bar.of == "ours" else self.compared()
        return self.bar.met(figure.value)

    def throughout(self) -> bool:
        """Whether the worse end of the interval meets the bar as well."""
        if self.bar is None:
            return True
        figure = self.ours if self.bar.of == "ours" else self.compared()
        worse = figure.high if self.bar.most is not None else figure.low
        return worse is None or self.bar.met(worse)

    def behind(self) -> bool:
        """Whether a peer is ahead."""
        ratio = self.compared()
        return ratio is not None and ratio.value < 1


def load(path: Path) -> dict[str, Any]:
    """`area`, `machine` and `results` of a file; ValueError names the file and the result."""
    file = json.loads(path.read_text("utf-8"))
    if set(file) != {"area", "machine", "results"}:
        raise ValueError(f"{path.name}: expected area, machine and results, got {sorted(file)}")
    if path.stem != f"{file['area']}-{file['machine']}":
        raise ValueError(f"{path.name}: expected the name {file['area']}-{file['machine']}.json")
    results = []
    for number, raw in enumerate(file["results"]):
        try:
            results.append(_read(raw))
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"{path.name}, result {number}: {error}") from error
    keys = [result.key for result in results]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{path.name}: {key} is there {keys.count(key)} times")
    return file | {"results": results}


def save(area: str, machine: str, results: Iterable[Result], folder: Path = RESULTS) -> Path:
    """Write the results of an area on a machine; those of the same key are replaced in place."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{area}-{machine}.json"
    kept = {r.key: r for r in load(path)["results"]} if path.exists() else {}
    kept |= {result.key: result for result in results}
    lines = ",\n".join(json.dumps(_plain(r), ensure_ascii=False) for r in kept.values())
    head = f'{{"area": {json.dumps(area)}, "machine": {json.dumps(machine)}, "results": ['
    new = path.with_suffix(".new")
    new.write_text(f"{head}\n{lines}\n]}}\n", "utf-8")
    new.replace(path)
    return path


def _plain(result: Result) -> dict[str, Any]:
    """As JSON has it: nothing that is empty, and a value without an interval as a number."""
    plain: dict[str, Any] = {}
    for name in ("what", "at", "unit", "better", "ours", "peers", "ratio", "bar"):
        plain[name] = _simple(getattr(result, name))
    for name in ("headline", "how", "details", "date", "commit", "source"):
        plain[name] = getattr(result, name)
    # Numbers stay: a zero is a result.
    return {k: v for k, v in plain.items() if v or (v == 0 and v is not False)}


def _simple(given: Any) -> Any:
    match given:
        case Value(value, None, None):
            return value
        case Value() | Peer() | Bar():
            names = type(given).__match_args__
            pairs = {name: _simple(getattr(given, name)) for name in names}
            return {name: value for name, value in pairs.items() if value is not None}
        case tuple():
            return [_simple(each) for each in given]
    return given


def _read(raw: Mapping[str, Any]) -> Result:
    fields = dict(raw)
    for name in ("ours", "ratio"):
        if name in fields:
            fields[name] = value(fields[name])
    fields["peers"] = tuple(
        Peer(**peer | ({"value": value(peer["value"])} if "value" in peer else {}))
        for peer in fields.get("peers", ())
    )
    if "bar" in fields:
        fields["bar"] = Bar(**fields["bar"])
    return Result(**fields)


def value(given: float | Mapping[str, float] | Value) -> Value:
    """A value from a number or from `value`, `low` and `high`."""
    if isinstance(given, Value):
        return given
    return Value(**given) if isinstance(given, Mapping) else Value(float(given))
