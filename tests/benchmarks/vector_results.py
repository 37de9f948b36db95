"""What `bench_vector` makes of the lines of a case: results beside peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, field
from result import Bar

if TYPE_CHECKING:
    from record import Recorder

Line = dict[str, Any]

THREADS = {1: "one thread", 2: "two threads"}


@define
class Results:
    """Records the cases of `bench_vector`, each after all of its processes have ended."""

    record: Recorder
    kind: str
    """Of the vectors: synthetic or real."""
    alone: dict[str, float] = field(factory=dict)
    """Milliseconds of our exact queries by one thread, by format."""

    def __call__(self, case: str, threads: int, lines: Sequence[Line]) -> None:
        """Record a case; lines are those of `vector_cases`."""
        size = next((line["size"] for line in lines if "size" in line), 0)
        end = THREADS.get(threads, f"{threads} threads")
        handlers: dict[str, Callable[[int, str, int, Sequence[Line]], None]] = {
            "exact": self.exact,
            "batch": self.batch,
            "graph": self.graph,
            "filter": self.filter,
            "churn": self.churn,
            "commit": self.commit,
            "open": self.open,
        }
        handlers[case](size, end, threads, [line for line in lines if "size" not in line])

    def exact(self, size: int, end: str, threads: int, lines: Sequence[Line]) -> None:
        """One query: beside peers, of fewer bits beside float32, on two threads beside one."""
        best = {line["engine"]: line["best_ms"] for line in lines if "best_ms" in line}
        extra = {line["engine"]: line.get("median_ms") for line in lines if "best_ms" in line}
        recall = next((line["recall"] for line in lines if "recall" in line), None)
        what, how = f"one exact query of {size:,} {self.kind} rows", "best of 7 rounds by turns"
        own = [name for name in best if name.startswith("ours")]
        loop = best.pop("a Python loop, of 1 %", None)
        peers = {name: ms for name, ms in best.items() if name not in {*own, "sum of all bytes"}}
        if loop is not None:
            peers["Python loop"] = 100 * loop
        for name in own:
            label = name.removeprefix("ours").strip() or "float32"
            others = peers if label == "float32" else {"ours, float32": best["ours"]}
            self.record(
                f"{what}, {label}, {end}",
                best[name],
                unit="ms",
                peers=others,
                bar=self._bar(label, threads),
                headline=threads == 1,
                how=how,
                median_ms=extra[name],
                reading_all_bytes_ms=best.get("sum of all bytes"),
                recall_at_10=recall if label == "int8" else None,
            )
            if threads == 1:
                self.alone[label] = best[name]
            elif label in self.alone:
                self.record(
                    f"{what}, {label}, {end} beside one",
                    best[name],
                    unit="ms",
                    peers={"ours, one thread": self.alone[label]},
                    bar=Bar("ratio", least=1.6) if threads == 2 else None,
                    headline=label == "float32",
                    how=how,
                )

    @staticmethod
    def _bar(label: str, threads: int) -> Bar | None:
        least = {"float32": 2, "int8": 3.8}.get(label)
        return None if least is None or threads > 1 else Bar("ratio", least=least)

    def batch(self, size: int, end: str, threads: int, lines: Sequence[Line]) -> None:
        """64 queries at once."""
        speed = {line["engine"]: line["queries_per_s"] for line in lines}
        if "ours" in speed:
            self.record(
                f"64 exact queries at once of {size:,} {self.kind} rows, {end}",
                speed.pop("ours"),
                unit="queries/s",
                better="higher",
                peers=speed,
                headline=threads == 1,
                how="best of 3 rounds by turns",
            )

    def graph(self, size: int, end: str, threads: int, lines: Sequence[Line]) -> None:
        """Building, and searching at equal recall."""
        what = f"{size:,} {self.kind} rows, {end}"
        built = {line["engine"]: line["build_s"] for line in lines if "build_s" in line}
        if "ours" in built:
            self.record(
                f"build a graph over {what}",
                built.pop("ours"),
                unit="s",
                peers=built,
                bar=Bar("ratio", least=2) if threads == 1 else None,
                headline=threads == 1,
                how="16 links, 100 candidates; once",
            )
        for at in (0.977, 0.991):
            times = {
                line["engine"]: None if line["best_ms"] is None else 1e3 * line["best_ms"]
                for line in lines
                if line.get("at_recall") == at
            }
            ours = times.pop("ours", None)
            if ours is None:
                continue
            self.record(
                f"search a graph over {what}",
                ours,
                at=f"recall@10 {at}",
                unit="us",
                peers={name: time for name, time in times.items() if time is not None},
                bar=Bar("ratio", least=1.8),
                headline=True,
                how="500 queries, best of 5 rounds by turns; "
                "between two widths by a line through the logarithms",
            )

    def filter(self, size: int, end: str, threads: int, lines: Sequence[Line]) -> None:
        """Searching a part of the rows; peers with few rows allowed may find less."""
        for share in sorted({line["share"] for line in lines}, reverse=True):
            known = {line["engine"]: line for line in lines if line["share"] == share}
            ours = known.pop("ours", None)
            if ours is None:
                continue
            what = f"filtered search by a graph over {size:,} {self.kind} rows, {end}"
            for name, key, unit, better in (
                ("time", "best_ms", "ms", "lower"),
                ("recall", "recall", "recall@10", "higher"),
                ("results", "results", "results", "higher"),
            ):
                self.record(
                    f"{what}: {name}",
                    ours[key],
                    at=f"{100 * share:g} % allowed",
                    unit=unit,
                    better=better,
                    peers={peer: line[key] for peer, line in known.items()},
                    headline=threads == 1 and name == "recall",
                    how="width 64, 200 queries once, ten nearest",
                )

    def churn(self, size: int, end: str, threads: int, lines: Sequence[Line]) -> None:
        """Ten rounds in which a fifth of the rows is replaced."""
        rounds = {
            engine: [line for line in lines if line["engine"] == engine and "round" in line]
            for engine in dict.fromkeys(line["engine"] for line in lines)
        }
        lost = {line["engine"]: line["lost"] for line in lines if "lost" in line}
        last = {engine: each[-1]["recall"] for engine, each in rounds.items()}
        if "ours" not in rounds:
            return
        what = f"half of {size:,} {self.kind} rows in a graph, a fifth replaced ten times, {end}"
        ours = rounds["ours"]
        self.record(
            f"recall@10 after churn: {what}",
            last.pop("ours"),
            unit="recall@10",
            better="higher",
            peers=last,
            headline=threads == 1,
            how="200 queries, width 64",
            first=ours[0]["recall"],
            least=min(line["recall"] for line in ours),
            mb_at_first=ours[0]["mb"],
            mb_at_last=ours[-1]["mb"],
        )
        self.record(
            f"rows lost after churn: {what}",
            lost.pop("ours"),
            unit="rows",
            peers=lost,
            how="rows that their own vector does not find at width 256",
        )

    def commit(self, size: int, end: str, threads: int, lines: Sequence[Line]) -> None:
        """Durable commits, beside the least that a durable write takes and beside other stores."""
        how = "median by turns, vectors of 384 numbers, the disk of the checkout"
        for rows in (1, 100, 10_000):
            known = {line["engine"]: line["median_ms"] for line in lines if line["batch"] == rows}
            ours, sync = known.pop("ours", None), known.pop("one fdatasync", None)
            if ours is None:
                continue
            self.record(
                f"durable commit, {end}",
                ours,
                at=f"{rows:,} rows",
                unit="ms",
                peers=known,
                headline=threads == 1,
                how=how,
                fdatasync_ms=sync,
            )
            if rows == 1 and sync:
                self.record(
                    f"durable commit of 1 row, in times of one fdatasync, {end}",
                    ours / sync,
                    unit="times",
                    bar=Bar("ours", most=1.2),
                    how=how,
                )
            if rows == 10_000:
                self.record(
                    f"durable commits of 10,000 rows, {end}",
                    1e3 * rows / ours,
                    unit="rows/s",
                    better="higher",
                    bar=Bar("ours", least=400_000),
                    headline=threads == 1,
                    how=how,
                )
        after = [line["median_ms"] for line in lines if line["engine"] == "ours, after a flush"]
        if after:  # the process of every engine measures it
            self.record(
                f"write of 1,000 rows after a flush, store of 1,000,000, {end}",
                after[0],
                unit="ms",
                how="median of 7 rounds",
            )

    def open(self, size: int, end: str, threads: int, lines: Sequence[Line]) -> None:
        """From a closed store to the first answer."""
        best = {line["engine"]: line["best_ms"] for line in lines if "engine" in line}
        if "ours" not in best:
            return
        steps = {
            f"mb_{line['step']}".replace(" ", "_"): line["RssAnon"] + line["RssFile"]
            for line in lines
            if "step" in line
        }
        what = f"open a store of {size:,} {self.kind} rows"
        alone = best.pop("ours, opened only")
        self.record(
            f"{what} and answer one exact query, {end}",
            best.pop("ours"),
            unit="ms",
            peers=best,
            headline=threads == 1,
            how="best of 3 rounds, files in the cache, checksums of all vectors compared",
            **steps,
        )
        self.record(f"{what}, {end}", alone, unit="ms", how="best of 3 rounds")
