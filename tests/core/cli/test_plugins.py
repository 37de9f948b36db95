"""``aios plugins`` works, above all while plugins are broken."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from aios_core.cli import cli

WAVES = """
import aios_core
from attrs import field, frozen, validators
from aios_core.contracts import NoiseScheduler

AIOS_API = 1

@frozen
class Wave(NoiseScheduler):
    '''Rises and falls.

    It does so often.
    '''

    k: float = field(default=2.0, validator=validators.and_(validators.gt(0), validators.le(9)))
    '''How often.'''
    name: str | None = None
    path: str = field(kw_only=True)

    def alpha(self, t):
        return 1 - t

@frozen
class Unfinished(NoiseScheduler):
    '''Writes nothing.'''

@aios_core.hookimpl
def aios_noise_schedulers():
    return {"wave": Wave, "unfinished": Unfinished, "absent": "no_such_module:Wave"}
"""
COPY = "import aios_core\nfrom waves import Wave\nAIOS_API = 1\n@aios_core.hookimpl\n"
COPY += "def aios_noise_schedulers(): return {'wave': Wave}\n"


@pytest.fixture
def aios():
    """Run the command line in this process."""
    return lambda *arguments: CliRunner().invoke(cli, ["plugins", *arguments])


@pytest.fixture
def broken(tmp_plugin):
    """One plugin that raises, one that offers both good and bad components."""
    tmp_plugin("1 / 0", module="crash", distribution="aios-crash", version="0.3")
    tmp_plugin(WAVES, module="waves", version="2.1")


@pytest.mark.usefixtures("broken")
def test_list_shows_what_works_and_what_does_not(aios):
    done = aios("list")

    assert 0 == done.exit_code
    assert ["wave", "waves", "2.1", "ok"] in [line.split() for line in done.stdout.splitlines()]
    assert "failed to load:\n  aios-crash 0.3 (entry point crash): importing crash" in done.stdout


@pytest.mark.usefixtures("broken")
def test_list_as_json(aios, monkeypatch):
    monkeypatch.setenv("AIOS_DISABLE_PLUGINS", "trackers")
    listing = json.loads(aios("list", "--json").stdout)

    (wave,) = [component for component in listing["components"] if component["name"] == "wave"]
    assert {
        "kind": "noise",
        "name": "wave",
        "distribution": "waves",
        "version": "2.1",
        "entry_point": "waves",
        "reference": "waves:Wave",
        "status": "ok",
    } == wave
    assert ["aios-crash"] == [each["distribution"] for each in listing["failed"]]
    assert ["trackers"] == [each["entry_point"] for each in listing["disabled"]]


@pytest.mark.usefixtures("broken")
def test_list_and_doctor_show_a_conflict(aios, tmp_plugin):
    tmp_plugin(COPY, module="copy_of_waves", distribution="copies")

    assert 2 == aios("list").stdout.count("conflict")
    assert '"noise.wave" = "copies" or "noise.wave" = "waves"' in aios("doctor").stdout
    assert 2 == len(json.loads(aios("show", "wave", "--json").stdout))


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("command", [["list"], ["show", "wave"], ["doctor"]], ids=lambda c: c[0])
def test_strictness_locks_nobody_out(aios, monkeypatch, command):
    monkeypatch.setenv("AIOS_STRICT_PLUGINS", "1")

    assert "wave" in aios(*command).stdout


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("name", ["wave", "noise.wave"])
def test_show_describes_a_component(aios, name):
    done = aios("show", name)

    assert 0 == done.exit_code
    for line in (
        "noise.wave\n  from waves 2.1 (entry point waves)\n  at   waves:Wave\n",
        "  Rises and falls.\n\n  It does so often.\n",
        "  k: a number, > 0, <= 9, default 2.0\n      How often.\n",
        "  name: a string, default unset\n",
        "  path: a string, required\n",
    ):
        assert line in done.stdout


@pytest.mark.usefixtures("broken")
def test_show_as_json(aios):
    shown = json.loads(aios("show", "wave", "--json").stdout)

    assert "Rises and falls.\n\nIt does so often." == shown["doc"]
    assert {
        "name": "k",
        "type": "a number",
        "required": False,
        "default": "2.0",
        "bounds": ["> 0", "<= 9"],
        "doc": "How often.",
    } == shown["fields"][0]


@pytest.mark.usefixtures("broken")
def test_show_of_a_broken_component_says_why(aios):
    done = aios("show", "unfinished")

    assert 1 == done.exit_code
    assert "from waves 2.1" in done.stdout
    assert "Unfinished does not write alpha" in done.stdout


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wav", "no component is called 'wav'; did you mean 'wave'?"),
        ("noise.wav", "no noise is called 'wav'; did you mean 'wave'?"),
        ("nois.wave", "there is no kind 'nois'; did you mean 'noise'?"),
    ],
)
def test_show_of_nothing_tells_near_names(aios, name, message):
    done = aios("show", name)

    assert 2 == done.exit_code
    assert f"error: {message}" in done.stderr
    assert "aios-crash 0.3" in done.stderr or "kind" in message


def test_show_of_a_name_that_two_kinds_have_asks_which(aios, tmp_plugin):
    both = COPY.replace("'wave'", "'ancestral'")
    tmp_plugin(WAVES, module="waves", entry_points={})
    tmp_plugin(both, module="both")
    done = aios("show", "ancestral")

    assert 2 == done.exit_code
    assert "expected one of ['noise.ancestral', 'sampler.ancestral']" in done.stderr


@pytest.mark.usefixtures("broken")
def test_doctor_tells_all_that_is_wrong(aios, monkeypatch):
    monkeypatch.setenv("AIOS_DISABLE_PLUGINS", "trackers")
    done = aios("doctor")

    assert 1 == done.exit_code
    assert "problem: aios-crash 0.3 (entry point crash): importing crash raised" in done.stdout
    assert "problem: noise.unfinished of waves 2.1" in done.stdout
    assert "problem: noise.absent of waves 2.1" in done.stdout
    assert "disabled:\n  ai-os-diffusion" in done.stdout
    assert "3 problems" in done.stdout
    assert 3 == len(json.loads(aios("doctor", "--json").stdout)["problems"])


def test_doctor_finds_nothing_wrong_with_the_defaults(aios):
    done = aios("doctor")

    assert (0, "no problems") == (done.exit_code, done.stdout.strip().rpartition(", ")[2])


def test_list_works_without_a_single_plugin(tmp_path):
    code = (
        "from importlib import metadata\n"
        "metadata.entry_points = lambda **_: []\n"
        "from aios_core.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "plugins", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "kind  name  distribution  status\n" == done.stdout


def test_what_a_plugin_prints_spoils_no_json(tmp_path, monkeypatch):
    """What a plugin prints when it is imported, or asked, goes to stderr."""
    (tmp_path / "chatty.py").write_text(
        "import aios_core\nAIOS_API = 1\nprint('hello from plugin')\n"
        "@aios_core.hookimpl\ndef aios_samplers():\n"
        "    print('asked')\n    return {'chatty': 'chatty_sampler:Chatty'}\n"
    )
    info = tmp_path / "aios_chatty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aios-chatty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aios.plugins]\nchatty = chatty\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = CliRunner().invoke(cli, ["plugins", "list", "--json"])

    assert "chatty" in {component["name"] for component in json.loads(done.stdout)["components"]}
    assert "hello from plugin\nasked\n" == done.stderr
