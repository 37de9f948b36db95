"""`aios uncertainty`: what it shows, writes and refuses."""

import json

from aios_core.config import resolve
from aios_core.contracts import store_schema
from aios_core.memory import Place, open_store
from aios_core.registry import Registry
from aios_core.training.trainer import train
from aios_plugins._uncertainty.calibration import NAME, Calibration
from aios_plugins._uncertainty.estimators import estimators
from aios_plugins.datasets.memories import Memories

KIND = "doubt"
"""Of the rows that the command keeps."""


def test_other_texts_are_told_apart(calibrated):
    entropy = calibrated["estimators"]["entropy"]

    assert {"calibration": 60, "own": 60, "others": 60} == calibrated["texts"]
    assert entropy["triggers_on_others"] > 0.9
    assert entropy["false_triggers"] < 0.3
    assert entropy["rank_correlation"] > 0.5


def test_what_measures_is_not_what_was_learned_from(aios, values, folder, tmp_path, monkeypatch):
    """Where the second half of the held-out texts is of another kind, nearly all of it triggers."""
    monkeypatch.setenv("AIOS_CACHE", str(tmp_path / "cache"))
    text = (folder / "corpus.txt").read_text()
    other = len(text) // 20  # half of the last tenth, which is held out
    (tmp_path / "corpus.txt").write_text(text[:-other] + ("ZWEI&VIER|ACHT?" * other)[:other])
    train(resolve(values(tmp_path / "corpus.txt")), tmp_path / "run", progress=False)
    result = json.loads(aios("calibrate", tmp_path / "run", "--windows", "40", "--json").stdout)

    for name in ("entropy", "residual"):
        assert result["estimators"][name]["false_triggers"] > 0.9, name


def test_temperatures_make_other_texts_likelier(calibrated):
    before, after = (
        sum(level[f"nats_{when}"] for level in calibrated["levels"]) for when in ("before", "after")
    )

    assert after < before


def test_no_temperature_harms_the_texts_that_measure(calibrated, folder):
    """Nor is another in the file that `score` reads than in what is shown."""
    kept = Calibration.load(folder / "run" / NAME).temperatures

    assert all(level["nats_after"] <= level["nats_before"] + 1e-9 for level in calibrated["levels"])
    assert [level["temperature"] for level in calibrated["levels"]] == list(kept)
    assert all(
        level["temperature"] in {1.0, level["temperature_fitted"]} for level in calibrated["levels"]
    )


def test_the_report_needs_nothing_else(calibrated, folder):
    page = (folder / "run" / "uncertainty.html").read_text()

    assert 4 == page.count("<svg")
    assert "http" not in page.replace("http://www.w3.org", "")


def test_scores_of_texts(aios, calibrated, folder):
    rows = json.loads(
        aios("score", folder / "run", "--text", "12 bottles of mi", "--text", "ZWEI&VIER|ACHT?Z",
             "--json").stdout
    )  # fmt: skip

    assert [False, True] == [row["triggered"] for row in rows]
    assert rows[0]["score"] < rows[0]["threshold"] < rows[1]["score"]
    assert set(estimators(Registry.discover())) == set(rows[0]["estimators"])
    assert all(0 < row["noise"] < 5 and 1 == row["windows"] for row in rows)


def test_files_of_long_texts_are_scored_by_windows(aios, calibrated, folder, tmp_path):
    """Fault E3: several files, JSON lines among them; each row says where its text stands."""
    long = "".join(f"{n} bottles of milk, {n} bottles. " for n in range(40))
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in (long, "milk")))
    words = ("score", folder / "run", tmp_path / "a.jsonl", folder / "other.txt")
    rows = json.loads(aios(*words, "--json").stdout)
    places = [f"{tmp_path}/a.jsonl:1", f"{tmp_path}/a.jsonl:2", f"{folder}/other.txt:1"]

    assert places == [row["where"] for row in rows]
    assert [-(-len(long) // 16), 1, 75] == [row["windows"] for row in rows]
    assert not rows[0]["triggered"]
    assert rows[2]["triggered"]
    assert rows[0]["noise"] < rows[1]["noise"], "more tokens are surer"
    assert "a.jsonl:2" in aios(*words).stdout
    (tmp_path / "a.jsonl").write_text('{"text": "milk"}\n\nmilk\n')
    assert "a.jsonl:3: is not JSON: " in aios(*words, code=2).stderr


def test_what_triggers_is_kept_once_as_evidence(aios, calibrated, folder, tmp_path):
    words = ("score", folder / "run", "--text", "12 bottles of mi", "--text", "ZWEI&VIER|ACHT?Z")
    place = f"numpy:{tmp_path / 'unsure'}"
    for _ in range(2):
        assert "1 of 2" in aios(*words, "--keep", place).stderr
    evidence = Memories(place, f"kind = '{KIND}' AND score > 0")

    assert ["ZWEI&VIER|ACHT?Z"] == list(evidence.documents())
    assert "0 of 1" in aios(*words[:4], "--keep", tmp_path / "none").stderr
    assert not (tmp_path / "none").exists()


def test_what_is_kept_goes_where_its_vectors_belong(aios, calibrated, folder, tmp_path):
    """Fault V19 and Fault N6: not among vectors of an unknown maker, nor to no plugin."""
    words = ("score", folder / "run", "--text", "ZWEI&VIER|ACHT?Z", "--keep")
    own = Place.of(str(tmp_path / "own"))
    open_store(own, schema=store_schema(384, {"kind": "string", "score": "float64"})).close()

    assert "does not say which embedding" in aios(*words, own.uri, code=2).stderr
    assert "is called 'sqlite'" in aios(*words, "sqlite:oops", code=2).stderr


def test_too_little_text_is_said(aios, folder):
    output = aios("calibrate", folder / "run", "--windows", "5", code=2).stderr

    assert "10 held-out texts of at most 16 tokens are too few; expected at least 66, of" in output
