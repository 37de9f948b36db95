"""Writes BENCHMARKS.md from the files of results.

    python tests/benchmarks/report.py            # writes the page
    python tests/benchmarks/report.py --check    # fails if the page is not what it would write

A result is shown in a row if it is marked as a headline and is the newest of its kind; and always,
from whatever machine, at least by name, if its bar is missed or a peer is ahead.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import machine as machines
from areas import AREAS, bench
from result import MACHINES, RESULTS, Result, load
from shown import losses, markdown

PAGE = Path(__file__).parents[2] / "BENCHMARKS.md"
LINES = 150
"""A page that is longer is not read."""

HEAD = """\
# Benchmarks

`make bench AREA=name` measures an area and writes `tests/benchmarks/results/AREA-MACHINE.json` and
this page; `make bench` lists the areas. The files hold all {count} results with their conditions,
dates and commits; the tables here show a selection, the newest of each. Ratio: how many times
better ours is than the best peer, **bold** where the peer is ahead. Bar: the goal that was set, a
limit of our value or, with an x, of the ratio. Points separated by / belong together. Brackets hold
an interval, whose kind the files name; a bar is met mostly if the worse end of the interval misses
it. No loss is left out: the list after the tables names the others.
"""

TABLE = """\
| what | ours | best peer | ratio | bar | met | machine |
|---|---:|---:|---:|---:|---|---|
"""


def read(folder: Path = RESULTS) -> dict[str, list[tuple[str, list[Result]]]]:
    """Area to its machines, each with its results, the machine measured last at the end."""
    areas: dict[str, list[tuple[str, list[Result]]]] = {area: [] for area in AREAS}
    for path in sorted(folder.glob("*.json")):
        file = load(path)
        if file["area"] not in AREAS:
            raise ValueError(f"{path.name}: expected an area of areas.py, got {file['area']!r}")
        areas[file["area"]].append((file["machine"], file["results"]))
    for files in areas.values():
        files.sort(key=lambda file: max(result.date for result in file[1]))
    return areas


def rows(files: list[tuple[str, list[Result]]]) -> tuple[list[str], list[str]]:
    """Of an area the rows of headlines, and in few words whatever else is missed or behind."""
    kinds: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for name, results in files:
        for result in results:
            kind = kinds.setdefault((result.what, result.unit), {})
            kind.setdefault(name, []).append(result)
    table, lost = [], []
    for groups in kinds.values():
        leading = [name for name, group in groups.items() if any(r.headline for r in group)]
        for name, group in groups.items():
            headlines = [r for r in group if r.headline] if name in leading[-1:] else []
            if headlines:
                table.append(markdown(headlines, name))
            others = [result for result in group if result not in headlines]
            lost += [f"{line} ({name})" for line in losses(others)]
    return table, lost


def page(folder: Path = RESULTS) -> str:
    """BENCHMARKS.md as it should be; ValueError if it would be too long."""
    areas = read(folder)
    count = sum(len(results) for files in areas.values() for _, results in files)
    parts, lost, tables = [HEAD.format(count=count)], [], {}
    for area, files in areas.items():
        tables[area], others = rows(files)
        by = f"`make bench AREA={area}`" if bench(area) else "by hand"
        body = TABLE + "\n".join(tables[area]) if tables[area] else "See the files."
        parts.append(f"## {AREAS[area]} ({by})\n{body}\n")
        if others:
            lost.append(f"- {area}: {'; '.join(others)}\n")
    if lost:
        parts.append("## Also missed or behind\n" + "".join(lost))
    used = sorted({name for files in areas.values() for name, _ in files})
    described = [_machine(machines.load(name, folder / MACHINES.name)) for name in used]
    head = "| machine | processor, cores, memory | system and software |\n|---|---|---|\n"
    parts.append("## Machines\n" + head + "\n".join(described) + "\n")
    text = "\n".join(parts)
    if (length := text.count("\n")) > LINES:
        longest = max(tables, key=lambda area: len(tables[area]))
        raise ValueError(
            f"BENCHMARKS.md: expected at most {LINES} lines, got {length}; mark fewer results "
            f"as headlines, for example of {longest} ({len(tables[longest])} rows)"
        )
    return text


def _machine(known: Mapping[str, Any]) -> str:
    parts = [known.get("gpu"), known["cpu"], ", ".join(known["levels"]) or None]
    parts.append(f"{known['cores']} cores" if known["cores"] else None)
    parts.append(f"{known['memory_gib']} GiB" if known["memory_gib"] else None)
    software = ", ".join(f"{name} {number}" for name, number in known["software"].items())
    system = "; ".join(filter(None, (known["system"], software, known.get("about"))))
    return f"| {known['id']} | {'; '.join(filter(None, parts))} | {system or 'not recorded'} |"


def main() -> None:
    """Write the page, or compare it."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, "utf-8")
        sys.stdout.write(f"wrote {PAGE.name}, {text.count(chr(10))} lines\n")
    elif PAGE.read_text("utf-8") != text:
        sys.exit("BENCHMARKS.md is not what the results say: run python tests/benchmarks/report.py")


if __name__ == "__main__":
    main()
