"""What every benchmark writes its results with: a row on the screen, a line in a file of results.

    record = Recorder("startup")
    record("aios --help", 0.06, unit="s", bar=Bar("ours", most=0.2), how="median of 9 processes")
    record("exact query", 39.5, unit="ms", peers={"numpy": 48.0}, at="1,000,000 rows")

Each result is kept as soon as it is measured, so what an interrupted run measured is not lost.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import machine as machines
from attrs import define, field
from result import RESULTS, Bar, Detail, Peer, Result, Value, save, value
from shown import compact, row

DISTRIBUTIONS = {
    "FBGEMM": "torch",
    "bitsandbytes": "bitsandbytes",
    "diffusers": "diffusers",
    "faiss": "faiss-cpu",
    "ggml": "ggml-python",
    "gigatoken": "gigatoken",
    "hnswlib": "hnswlib",
    "hqq": "hqq",
    "lancedb": "lancedb",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "tiktoken": "tiktoken",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "usearch": "usearch",
}
"""The first word of a peer's name to the distribution whose version it has."""


@define
class Recorder:
    """Prints and keeps the results of an area."""

    area: str
    device: str = "cpu"
    folder: Path = RESULTS
    machine: str = field(init=False)
    commit: str = field(init=False)
    source: str = field(init=False)
    load: float = field(init=False)
    """Processes that were running or waiting when it began: much above 0 disturbs times."""

    def __attrs_post_init__(self) -> None:
        """Describe the machine, and head the table."""
        described = machines.describe(self.device)
        machines.save(described, self.folder / "machines")
        self.machine, self.commit = described["id"], _commit()
        self.load = round(os.getloadavg()[0], 2)
        # Values of options may be paths of this machine, which concern nobody.
        shown = ["..." if os.sep in each else each for each in sys.argv[1:]]
        arguments = f" ARGS='{' '.join(shown)}'" if shown else ""
        self.source = f"make bench AREA={self.area}{arguments}"
        sys.stdout.write(f"{self.area} on {self.machine}, commit {self.commit}\n\n")
        sys.stdout.write(row("what", "ours", "best peer", "ratio", "bar", "met") + "\n")

    def __call__(
        self,
        what: str,
        ours: float | Value | None,
        *,
        unit: str,
        at: str = "",
        better: Literal["lower", "higher"] = "lower",
        peers: Mapping[str, float | Value | None] | None = None,
        ratio: float | Value | None = None,
        bar: Bar | None = None,
        headline: bool = False,
        how: str = "",
        **details: Detail,
    ) -> Result:
        """Keep one result, and print it.

        Args:
            what: What is measured, sizes included.
            ours: Our value; None if only the ratio is known.
            unit: Of the values.
            at: One point of several that belong together, such as "batch 8".
            better: Which values are.
            peers: Name, with its first word in `DISTRIBUTIONS` if it has a version, to value.
            ratio: If it is not that of the values, how many times better ours is than the best.
            bar: What was asked for; one of a ratio counts only beside a peer.
            headline: Whether BENCHMARKS.md shows it even if it is neither missed nor behind.
            how: Sizes, rounds, what an interval is.
            details: Further figures, units in their names.
        """
        others = tuple(
            Peer(name, peer_version(name), None if given is None else _rounded(given))
            for name, given in (peers or {}).items()
        )
        if bar is not None and bar.of == "ratio" and ratio is None and not others:
            bar = None
        result = Result(
            what=what,
            at=at,
            unit=unit,
            better=better,
            ours=None if ours is None else _rounded(ours),
            peers=others,
            ratio=None if ratio is None else _rounded(ratio),
            bar=bar,
            headline=headline,
            how=how,
            details={
                k: float(f"{v:.5g}") if isinstance(v, float) else v
                for k, v in (details | {"load": self.load}).items()
                if v is not None
            },
            date=datetime.now(UTC).date().isoformat(),
            commit=self.commit,
            source=self.source,
        )
        save(self.area, self.machine, [result], self.folder)
        sys.stdout.write(compact(result) + "\n")
        sys.stdout.flush()
        return result

    def skip(self, what: str, why: str) -> None:
        """Say on the screen what this machine cannot measure."""
        sys.stdout.write(f"{what}: not measured, {why}\n")
        sys.stdout.flush()


def peer_version(name: str) -> str | None:
    """The version of a peer that is here; None if it has none."""
    if name == "sqlite":
        return sqlite3.sqlite_version
    distribution = DISTRIBUTIONS.get(name.split(maxsplit=1)[0].strip(","))
    return machines.installed(distribution) if distribution else None


def _rounded(given: float | Value) -> Value:
    """To five digits: more is noise, and makes files hard to compare."""
    exact = value(given)
    limits = (exact.value, exact.low, exact.high)
    return Value(*(None if x is None else float(f"{x:.5g}") for x in limits))


def _commit() -> str:
    """Of the checkout; `+` marks changes in what is measured, and `unknown` is no checkout."""
    root = Path(__file__).parents[2]
    git = ["git", "-C", str(root)]
    try:
        short = subprocess.run(
            [*git, "rev-parse", "--short=8", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", ".", ":!BENCHMARKS.md", f":!{_RESULTS}"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return short + ("+" if changed.strip() else "")


_RESULTS = RESULTS.relative_to(Path(__file__).parents[2]).as_posix()
