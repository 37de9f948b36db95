"""Results have their shape, and BENCHMARKS.md is what they say."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KNOWN = {"unit": "s", "better": "lower", "date": "2026-11-30", "commit": "0", "source": "by hand"}
RAW = {"what": "a start", "ours": 2.0} | KNOWN
MACHINE = {
    "cpu": "a processor", "levels": ["AVX2"], "cores": 2, "memory_gib": 4, "system": "Linux",
    "software": {"python": "3.11"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_scripts_do(monkeypatch):
    """The modules import each other as scripts of one folder do."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def written(tmp_path):
    """Writes results of an area on a machine; gives the page of all that was written."""
    import machine
    import report
    import result

    def write(*rows, area="startup", name="here"):
        machine.save({"id": name} | MACHINE, tmp_path / "machines")
        head = {"area": area, "machine": name}
        text = json.dumps(head | {"results": [RAW | row for row in rows]})
        (tmp_path / f"{area}-{name}.json").write_text(text, "utf-8")
        for path in tmp_path.glob("*.json"):
            result.load(path)
        return report.page(tmp_path)

    return write


def test_the_page_is_what_the_results_say():
    import report

    assert report.page() == report.PAGE.read_text("utf-8"), "run `make bench-report`"
    assert report.page().count("\n") <= 150


@pytest.mark.parametrize("path", sorted((HERE / "results").glob("*.json")), ids=lambda p: p.stem)
def test_every_file_has_the_shape_and_a_described_machine(path):
    import areas
    import machine
    import result

    file = result.load(path)

    assert file["results"]
    assert file["area"] in areas.AREAS
    assert machine.load(file["machine"])["id"] == file["machine"]
    for each in file["results"]:
        assert re.fullmatch(r"2[0-9]{3}-[01][0-9]-[0-3][0-9]", each.date)
        assert re.fullmatch(r"[0-9a-f]{7,}\+?", each.commit), each.what
        assert re.match(r"make bench AREA=\w+|by hand, commit [0-9a-f]{7,}", each.source), each.what


def test_no_file_names_a_place():
    for path in (HERE / "results").rglob("*.json"):
        assert not re.search(
            r"(?<![\w.])/(home|root|tmp|work|Users|mnt)\b", path.read_text("utf-8")
        )


def test_this_machine_is_described_without_its_name():
    import machine

    known = machine.describe()

    assert set(known) == {"id", "cpu", "levels", "cores", "memory_gib", "system", "software"}
    assert re.fullmatch(r"[a-z0-9-]+", known["id"])
    assert {"python", "torch"} <= set(known["software"])


def test_every_bench_is_an_area_and_every_area_is_on_the_page():
    import areas
    import report

    scripts = {path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")}
    page, listed = report.page(), run(HERE / "areas.py").stdout

    assert scripts <= set(areas.AREAS)
    for area, title in areas.AREAS.items():
        assert f"\n## {title} (" in page
        assert (area in scripts) == (f"\n  {area} " in listed)


def test_an_unknown_area_is_an_error():
    done = run(HERE / "areas.py", "vectors", code=1)

    assert "expected an area, startup, " in done.stderr
    assert "got 'vectors'" in done.stderr


@pytest.mark.parametrize("headline", [True, False])
@pytest.mark.parametrize("bar", [{"of": "ours", "most": 1.5}, {"of": "ratio", "least": 2.5}])
def test_a_missed_bar_says_so(written, bar, headline):
    row = {"headline": headline, "bar": bar, "peers": [{"name": "other", "value": 4.0}]}

    page = written(row)
    met = written(row | {"ours": 1.0})

    line = next(line for line in page.splitlines() if "a start" in line)
    assert "**missed**" in line
    assert "missed**" not in met
    assert headline == ("a start" in met)


def test_a_bar_that_an_interval_crosses_is_met_mostly(written):
    bars = {"most": 2.5}, {"least": 1.5}
    ours = {"value": 2.0, "low": 1.0, "high": 3.0}
    rows = [{"at": str(n), "ours": ours, "headline": True, "bar": {"of": "ours"} | bar}
            for n, bar in enumerate(bars)]  # fmt: skip

    assert 2 == sum("| mostly |" in written(row) for row in rows)
    assert "| yes |" in written(rows[0] | {"ours": 2.0})


@pytest.mark.parametrize("headline", [True, False])
@pytest.mark.parametrize(("better", "theirs"), [("lower", 1.0), ("higher", 4.0)])
def test_a_peer_that_is_ahead_shows(written, better, theirs, headline):
    peers = [{"name": "worse", "value": 2.5 - theirs / 4}, {"name": "best", "value": theirs}]

    page = written({"better": better, "peers": peers, "headline": headline})

    line = next(line for line in page.splitlines() if "a start" in line)
    assert "best" in line
    assert "0.5" in line
    assert ("| **0.5** |" if headline else "**behind** best: a start: 0.5 (here)") in line


def test_the_newest_machine_leads_and_what_another_missed_stays(written):
    bar = {"bar": {"of": "ours", "most": 1.5}, "headline": True}
    written(bar | {"date": "2026-11-01"}, name="old")

    page = written(bar | {"ours": 1.0}, name="new")

    assert "| a start | 1 s |  |  | ≤ 1.5 | yes | new, by hand |" in page
    assert "- startup: **missed**: a start: 2, bar ≤ 1.5 (old)" in page


def test_points_of_one_kind_share_a_row(written):
    bars = [{"of": "ours", "most": most} for most in (1.5, 2.5)]
    rows = [{"at": f"batch {n}", "bar": bars[n], "headline": True} for n in (0, 1)]

    page = written(*rows)

    row = "| a start, batch 0 / 1 | 2 / 2 s |  |  | ≤ 1.5 / ≤ 2.5 | **missed** at batch 0 | here"
    assert row in page


def test_a_page_that_is_too_long_is_refused(written):
    rows = [{"what": f"start {n}", "headline": True} for n in range(150)]

    with pytest.raises(ValueError, match=r"at most 150 lines, got 2\d\d; .* startup \(150 rows\)"):
        written(*rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ours": float("nan")}, "expected finite numbers"),
        ({"ours": {"value": 2, "low": 3, "high": 4}}, "expected low <= value <= high"),
        ({"ours": {"value": 2, "low": 1}}, "expected low <= value <= high"),
        ({"better": "more"}, "expected better lower or higher, got 'more'"),
        ({"bar": {"of": "ours"}}, "expected one limit"),
        ({"bar": {"of": "ours", "most": 1, "least": 2}}, "expected one limit"),
        ({"bar": {"of": "ratio", "least": 2}}, "a bar of ratio needs that figure"),
        ({"seconds": 3}, "unexpected keyword argument 'seconds'"),
    ],
)
def test_what_has_another_shape_is_refused_by_file_and_number(written, change, message):
    with pytest.raises(ValueError, match=f"startup-here.json, result 1: .*{message}"):
        written({"what": "the first"}, change)


def test_a_result_that_is_there_twice_is_refused(written):
    with pytest.raises(ValueError, match=r"\('a start', ''\) is there 2 times"):
        written({}, {"ours": 3.0})


def test_only_what_is_measured_anew_is_replaced(tmp_path):
    from record import Recorder
    from result import Value, load

    for ours in (2.0, 3.0):
        record = Recorder("startup", folder=tmp_path)
        record("a start", ours, unit="s", at="cold", peers={"other": 6.0}, note="kept")
        if ours == 2.0:
            record("a start", Value(1.0, 0.5, 2.0), unit="s", at="warm")

    (path,) = tmp_path.glob("*.json")
    cold, warm = load(path)["results"]
    assert (3.0, "kept") == (cold.ours.value, cold.details["note"])
    assert 2.0 == cold.compared().value
    assert Value(1.0, 0.5, 2.0) == warm.ours


SMALL = {
    "caching": "--steps 2 --texts 2 --blocks 8",
    "memory": "--rows 300 --rounds 1",
    "quant": "quantize --rounds 1 --threads 1",
    "samplers": "--rows 20 ancestral threshold",
    "sampling": "overhead --steps 2 --repeats 1 --dim 64 --layers 1 --length 32 --block 16",
    "startup": "--repeat 1 --plugins 1",
    "tokenizer": "--megabytes 8 --rounds 1 --peer tiktoken",
    "training": "--layers 1 --dim 32 --heads 1 --length 32 --vocab 64 --batch 2 --steps 1 "
    "--groups 1",
    "vector": "--case exact batch graph filter churn open --engines ours numpy --threads 1 "
    "--vectors VECTORS",
    "weights": "--gigabytes 0.01 --rounds 1",
}


@pytest.mark.parametrize(
    "area",
    [name if name == "startup" else pytest.param(name, marks=pytest.mark.slow) for name in SMALL],
)
def test_an_area_is_written_by_its_bench(tmp_path, area):
    copy = tmp_path / "tests" / "benchmarks"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("results", "__pycache__"))
    vectors = tmp_path / "vectors.npy"
    np.save(vectors, np.random.default_rng(0).standard_normal((1500, 16), np.float32))

    arguments = SMALL[area].replace("VECTORS", str(vectors)).split()
    done = run(copy / "areas.py", area, *arguments)

    (path,) = (copy / "results").glob("*.json")
    results = json.loads(path.read_text("utf-8"))["results"]
    assert all(f"make bench AREA={area} ARGS=" in each["source"] for each in results)
    assert str(tmp_path) not in path.read_text("utf-8")
    assert all(each["what"] in done.stdout for each in results)
    assert path.stem.removeprefix(f"{area}-") in (tmp_path / "BENCHMARKS.md").read_text("utf-8")


def test_every_bench_has_a_small_run():
    assert {path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")} == set(SMALL)


def run(script, *arguments, code=0):
    """A script as `make bench` runs it; what it printed is part of the message when it fails."""
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert code == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"
    return done
