"""Logging: text for people, JSON for programs, one file a run."""

import io
import json
import logging
import sys

import pytest

from aios_core import logs
from aios_core.config.schema import LoggingConfig
from aios_core.errors import AIOSError, ConfigError

logger = logging.getLogger("aios_core.somewhere")


@pytest.fixture(autouse=True)
def root():
    """The root logger as it was, without what pytest hangs on it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_people_read_messages_and_the_level_of_what_is_wrong(capsys):
    logs.configure(environ={})

    logger.debug("not shown")
    logger.info("step %d", 3)
    logger.warning("odd")

    out, err = capsys.readouterr()
    assert not out
    first, second = err.splitlines()
    assert "step 3" == first
    assert second.endswith(" warning: odd")


def test_programs_read_one_object_a_line(capsys):
    logs.configure(json=True, environ={})

    logger.info("größe\n%s", "x")
    try:
        int("x")
    except ValueError:
        logger.exception("failed")

    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert ("info", "aios_core.somewhere", "größe\nx") == (
        first["level"],
        first["logger"],
        first["message"],
    )
    assert first["time"].endswith("+00:00")
    assert "ValueError: invalid literal" in second["exception"]


@pytest.mark.parametrize(
    ("flag", "environ", "config", "shown"),
    [
        (None, {}, "info", "iwe"),
        (None, {}, "warning", "we"),
        (None, {"AIOS_LOG": " ERROR "}, "debug", "e"),
        ("debug", {"AIOS_LOG": "error"}, "warning", "diwe"),
    ],
)
def test_flag_before_variable_before_configuration(capsys, flag, environ, config, shown):
    logs.configure(flag, environ=environ)
    logs.follow(LoggingConfig(level=config))

    for level in logs.LEVELS:
        logger.log(logs.LEVELS[level], level[0])

    assert shown == "".join(line[-1] for line in capsys.readouterr().err.splitlines())


def test_a_configuration_may_ask_for_json(capsys):
    logs.configure(environ={})
    logs.follow(LoggingConfig(json=True))

    logger.info("x")

    assert "x" == json.loads(capsys.readouterr().err)["message"]


def test_a_wrong_variable_is_an_error():
    with pytest.raises(ConfigError, match="AIOS_LOG=loud: expected one of debug, info"):
        logs.configure(environ={"AIOS_LOG": "loud"})


def test_configuring_twice_does_not_log_twice(capsys, monkeypatch):
    logs.configure(environ={})
    logs.configure("info", environ={})
    logger.info("x")
    assert "x\n" == capsys.readouterr().err

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    logger.info("where stderr is now")
    assert "where stderr is now\n" == sys.stderr.getvalue()


def test_a_run_has_its_own_file(capsys, tmp_path, root):
    logs.configure("error", environ={"SECRET": "hunter2"})
    path = tmp_path / "deep" / "run.log"

    for message in ("one", "two"):
        with logs.to_file(path):
            logger.info(message)
    logger.error("after")

    assert ["one", "two"] == [json.loads(x)["message"] for x in path.read_text().splitlines()]
    assert capsys.readouterr().err.endswith("error: after\n")
    assert logging.ERROR == root.level
    assert str(path) not in [getattr(handler, "baseFilename", "") for handler in root.handlers]
    assert "hunter2" not in path.read_text()


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()

    log = logs.to_file(tmp_path / "file" / "run.log")

    with pytest.raises(AIOSError, match=r"run\.log: the log cannot be written"), log:
        pass
