"""What an error names as its remedy is an option of the command that names it."""

import ast
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aios_core.cli import cli

ROOT = Path(__file__).parents[3]
WORD = re.compile(r"(?<![\w`-])--[a-z][a-z-]+")
CALL = re.compile(r"`aios ((?:[a-z]+ )*[a-z]+)[^`]*`")
EVERYWHERE = {"--set", "--help"}
"""``--set`` is what the source of an override is called, also in Python."""


def leaves(command, path):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*path, name))


CONTEXT = click.Context(cli)
NAMES = cli.list_commands(CONTEXT)
ALL = {
    " ".join(path): command
    for name in NAMES
    for path, command in leaves(cli.get_command(CONTEXT, name), (name,))
}


def words(command):
    return {word for param in command.params for word in (*param.opts, *param.secondary_opts)}


def texts(folder):
    """Every text of an error that is raised in a folder, with its place."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                parts = [
                    part.value
                    for part in ast.walk(node.exc)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
                yield path, node.lineno, "".join(parts)


CLI = ROOT / "aios_core" / "cli"
PLUGINS = ROOT / "aios_plugins" / "commands"
FILES = {
    path: path.relative_to(folder).parts[0].removesuffix(".py")
    for folder in (CLI, PLUGINS)
    for path in sorted(folder.rglob("*.py"))
}
"""File to the command that it is of, where it is of a single one."""
LIBRARY = [
    text
    for folder in ("aios_core", "aios_plugins")
    for text in texts(ROOT / folder)
    if text[0] not in FILES and "scaffold" not in text[0].parts
]


def test_the_library_names_no_option_of_the_command_line():
    """Fault D8: it marks its parameter, `so`, and the command spells it, or names its command."""
    wrong = [
        f"{path}:{line}: {word}"
        for path, line, text in LIBRARY
        for word in WORD.findall(CALL.sub("", text))
        if word not in EVERYWHERE and "pip install" not in text
    ]

    assert [] == wrong


def test_an_error_says_what_is_expected():
    """In one form: "expected X, got Y", and an option with its value as it is given."""
    wrong = [
        f"{path}:{line}: {text}"
        for path, line, text in [*LIBRARY, *texts(CLI), *texts(PLUGINS)]
        if re.search(r"\bwants?\b|, found |--[a-z-]+ = ", text)
    ]

    assert [] == wrong


def test_what_the_library_marks_is_an_option_of_some_command():
    """Fault D8: a mark that no command could spell would reach the user as it is."""
    known = {param.name for command in ALL.values() for param in command.params}
    wrong = [
        f"{path}:{line}: {name}"
        for path, line, text in LIBRARY
        for name in re.findall(r"`([a-z_]+)`", text)
        if name not in known | {"max_new_tokens", "history"} and "testing" not in path.parts
    ]

    assert [] == wrong


def test_a_command_that_an_error_names_has_the_options_that_it_names():
    """Fault D8: "`aios ablate --output`" is a command line that exists."""
    wrong = []
    for folder in (ROOT / "aios_core", ROOT / "aios_plugins"):
        for path, line, text in texts(folder):
            for match in CALL.finditer(text):
                name = match[1]
                while name not in ALL and " " in name:
                    name = name.rpartition(" ")[0]
                known = words(ALL[name]) if name in ALL else set()
                missing = set(WORD.findall(match[0])) - known - EVERYWHERE
                if name not in ALL or missing:
                    wrong.append(f"{path}:{line}: {match[0]}")

    assert [] == wrong


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_command_names_its_own_options(file):
    """Fault D8: nor does one command name an option of another as its own."""
    name = FILES[file]
    if name not in NAMES:  # shared by several
        known = set().union(*(words(command) for command in ALL.values()))
    else:
        known = set().union(
            *(words(command) for path, command in ALL.items() if path.split()[0] == name)
        )
    wrong = [
        f"{line}: {word}"
        for path, line, text in texts(file.parent)
        if path == file
        for word in WORD.findall(CALL.sub("", text))
        if word not in known | EVERYWHERE
    ]

    assert [] == wrong


def test_all_commands_say_in_the_same_words_that_there_is_no_file(tmp_path):
    """A folder is not missing; and what is missing is not said in the words of the system."""
    store, out, none = tmp_path / "store", tmp_path / "out.json", tmp_path / "none"
    for command in (
        ["run", "{}"],
        ["ablate", "{}"],
        ["config", "check", "{}"],
        ["memory", "add", "{}", "--store", store],
        ["tokenizer", "train", "{}", "--output", out],
        ["tokenizer", "encode", "x", "--tokenizer", "{}"],
        ["evaluate", tmp_path, "--texts", "{}"],
        ["sample", tmp_path, "--json-schema", "{}"],
        ["uncertainty", "score", tmp_path, "{}"],
        ["uncertainty", "calibrate", tmp_path, "--against", "{}"],
    ):
        for path, wrong in ((tmp_path, "is a folder"), (none, "no such file")):
            words = [str(word).format(path) for word in command]
            result = CliRunner().invoke(cli, words)

            assert 2 == result.exit_code
            said = f"{path}: {wrong}; expected "
            if "--tokenizer" in words and path == tmp_path:  # which may be a folder with one
                said = f"{path / 'tokenizer.json'}: no such file; expected "
            assert said in result.stderr
