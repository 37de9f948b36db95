"""What keeps the versions of a run, and that nobody else's are taken for the run as trained."""

import shutil

import pytest
import torch

import aios_core
from aios_core.contracts import Adaptation
from aios_core.errors import AIOSError, EvolutionError
from aios_core.experiment.evaluate import evaluate_run
from aios_core.inference import ArrowEngine
from aios_core.registry import Registry
from aios_core.scaffold.examples import history as example
from aios_core.scaffold.examples import level
from aios_core.scaffold.examples.history import Line
from aios_core.training import checkpoint, history
from aios_core.training.digest import model_digest


@pytest.fixture
def run(tiny_run, tmp_path):
    """A run of one's own, which has no version."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def with_line():
    """A registry with the history ``"line"`` and the level ``"bias"``."""
    made = Registry.discover(environ={})
    for plugin in (example, level):
        made.add(plugin, distribution="aios-line")
    assert not made.failures
    return made


@pytest.fixture
def without(monkeypatch):
    """Commands and calls from now on have no history."""
    monkeypatch.setenv("AIOS_DISABLE_PLUGINS", "evolution")


@pytest.fixture
def kept(run, with_line):
    """A run with a version that makes each token as likely as its number says."""
    trained = checkpoint.load(run, registry=with_line)
    shift = torch.zeros(trained.model.vocabulary.size)
    shift[ord("z")] = 1e4
    assert "1" == Line().keep(trained, "bias", Adaptation({}, {"shift": shift}, len(shift)))
    return trained


def written(*names):
    def write(folder):
        folder.mkdir()
        for name, text in names:
            (folder / name).write_bytes(text)

    return write


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda _: None, None),
        (written(), None),
        (written((".history.part", b"half")), None),
        (written(("HEAD", b"base\n")), "journal"),
        (written(("history", b"line\n"), ("HEAD", b"base\n")), "line"),
    ],
)
def test_a_folder_says_what_keeps_it(tmp_path, write, name):
    """That of an earlier version says nothing, and a journal keeps it."""
    write(tmp_path / "evolution")

    assert name == history.keeper(tmp_path)


@pytest.mark.parametrize(
    "write",
    [
        written(("history", b"")),
        written(("history", b"\xff\xfe")),
        written(("history", b"x" * 10**6)),
        lambda folder: folder.write_text("a file"),
        lambda folder: folder.symlink_to("nothing"),
    ],
)
def test_what_cannot_be_read_is_no_run_without_versions(tmp_path, write):
    write(tmp_path / "evolution")

    with pytest.raises(EvolutionError, match=r"evolution(/history)?: (cannot be read|expected)"):
        history.keeper(tmp_path)


def test_a_folder_has_one_keeper(tmp_path):
    assert tmp_path / "evolution" == history.claim(tmp_path, "line")
    assert tmp_path / "evolution" == history.claim(tmp_path, "line")
    assert "line" == history.keeper(tmp_path)

    with pytest.raises(EvolutionError, match=r"are kept by the history 'line'; expected 'journal'"):
        history.claim(tmp_path, "journal")


def test_a_run_without_versions_is_as_it_was_trained(run, without):
    trained = checkpoint.load(run)

    assert history.history(trained) is None
    assert [None] * 3 == [history.find(trained, name) for name in (None, "base", "HEAD")]
    assert trained.model is history.at(trained, None)
    assert [] == history.faults(trained)
    with pytest.raises(EvolutionError, match="expected 'base', for the run has no versions, got"):
        history.find(trained, "a")
    with pytest.raises(EvolutionError, match="has no version '1'"):
        history.at(trained, "1")


def test_a_run_without_versions_needs_no_history(run, aios, without, tmp_path):
    """Commands work with the plugin switched off; those that make versions say that it is."""
    aios("sample", "run", "--num", "1", "--length", "4")
    aios("evaluate", "run", "--set", "evaluation.max_tokens=64", "--set", "sampling.num_samples=1")
    aios("verify", "run")

    assert "evolution" not in [path.name for path in run.iterdir()]


@pytest.mark.parametrize("name", ["journal", "line"])
def test_versions_that_nothing_reads_are_an_error(run, aios, without, name):
    """Never the network as it was trained, unless that is asked for."""
    history.claim(run, name)
    expected = f"the run has versions that the history '{name}' keeps, and that cannot be used: "

    for words in (
        ("sample", "run", "--length", "4"),
        ("evaluate", "run", "--set", "evaluation.max_tokens=64"),
    ):
        said = aios(*words, code=2)
        assert expected in said
        assert f"no history is called '{name}'" in said
        assert "ai-os-diffusion" in said, "what is switched off is named"
    with pytest.raises(EvolutionError, match=expected):
        ArrowEngine.load(run)
    engine = ArrowEngine.load(run, evolved=False)
    with pytest.raises(EvolutionError, match=expected):
        engine.use("base")
    (fault,) = history.faults(checkpoint.load(run))
    assert expected in fault
    assert expected in aios("verify", "run", code=1)
    aios("evaluate", "run", "--base", "--set", "evaluation.max_tokens=64")


def test_a_history_that_is_broken_is_named(run):
    class Broken:
        @aios_core.hookimpl
        def aios_histories(self):
            return {"line": "no_such_module:Line"}

    Broken.AIOS_API = 1
    registry = Registry.empty()
    registry.add(Broken(), distribution="aios-line")
    history.claim(run, "line")
    trained = checkpoint.load(run)
    trained.resolved.registry._offers.update(registry._offers)

    with pytest.raises(
        EvolutionError, match=r"history\.line of aios-line .* no_such_module is gone"
    ):
        history.find(trained)


def test_everything_opens_a_run_at_its_head(run, kept, with_line):
    """By a history that a third party wrote: the engine, another version, an evaluation."""
    engine = ArrowEngine.load(run, registry=with_line)
    written = [engine.generate("", max_new_tokens=6, seed=0).texts[0]]
    for skill in ("base", "1", None):
        engine.use(skill)
        written.append(engine.generate("", max_new_tokens=6, seed=0).texts[0])

    assert "z" * 6 == written[0] == written[2] == written[3] != written[1]
    words = {
        "overrides": [
            "evaluation.max_tokens=64",
            "evaluation.twin=false",
            "sampling.num_samples=1",
        ],
        "registry": with_line,
    }
    assert "1" == evaluate_run(run, **words)["model"]["head"]
    assert evaluate_run(run, evolved=False, **words)["model"]["head"] is None


def test_what_a_history_raises_names_it(run, kept, monkeypatch):
    def broken(*_):
        raise KeyError("lost")

    monkeypatch.setattr(Line, "at", broken)
    # Of whatever registry of this process loaded the class first.
    with pytest.raises(AIOSError, match=r"history line of \S+ .*at raised KeyError: 'lost'"):
        history.at(kept, "1")


def test_the_folder_of_another_history_is_no_journal(run, kept, aios):
    """No command reads or writes a journal there."""
    before = model_digest(kept.model)
    for words in (
        ("evolve", "status", "run"),
        ("evolve", "rollback", "run"),
        ("skill", "ls", "run"),
    ):
        said = aios(*words, code=2)
        assert "its versions are kept by the history 'line'; expected 'journal'" in said

    assert ["1", "history"] == sorted(path.name for path in (run / "evolution").iterdir())
    assert before == model_digest(kept.model)
