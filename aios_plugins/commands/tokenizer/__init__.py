"""`aios tokenizer`: train a tokenizer, and apply or inspect one from any ``tokenizer.json``."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aios_core import strict_json
from aios_core.cli.common import json_option, print_json
from aios_core.cli.numbers import COUNT, whole
from aios_core.contracts import Command
from aios_core.errors import TokenizerError, refusal
from aios_core.files import no_file
from aios_plugins.commands._common import check_new, overwrite_option

if TYPE_CHECKING:
    from aios_core.contracts import TrainedTokenizer

_path = click.Path(path_type=Path)
_tokenizer = click.option(
    "--tokenizer",
    "file",
    metavar="FILE",
    required=True,
    type=_path,
    help="The tokenizer.json to use.",
)
_parse_special = click.option(
    "--parse-special",
    is_flag=True,
    help="Read names of special tokens in the text, as <|im_end|>, as these tokens. Without it"
    " they are plain text.",
)


@click.group()
def command() -> None:
    """Train tokenizers, and use any tokenizer.json.

    \b
    Examples:
      aios tokenizer train *.md --vocab-size 1000 --output runs/tokenizer.json
      aios tokenizer inspect "Return the path." --tokenizer runs/tokenizer.json
    """  # noqa: D301  # \b is for click


@command.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_path)
@click.option(
    "--vocab-size", default=32_000, show_default=True, type=COUNT, help="Size of the vocabulary."
)
@click.option(
    "--min-frequency",
    default=2,
    show_default=True,
    type=COUNT,
    help="Merge only pairs of tokens that occur at least this often.",
)
@click.option(
    "--field",
    metavar="NAME",
    help="Key or column of the texts in JSON lines, Parquet or Arrow files.",
)
@click.option("--output", metavar="FILE", required=True, type=_path, help="File to write.")
@overwrite_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def train(
    files: tuple[Path, ...],
    vocab_size: int,
    min_frequency: int,
    field: str | None,
    output: Path,
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Train a byte-level BPE tokenizer on texts.

    \b
    Examples:
      aios tokenizer train *.md --vocab-size 1000 --output runs/tokenizer.json
      aios tokenizer train examples/notes.jsonl --field text --vocab-size 300 --output runs/t.json
    """  # noqa: D301  # \b is for click
    from aios_core.files import new_file
    from aios_core.registry import Registry
    from aios_plugins.commands.tokenizer.progress import TokenizerProgress

    kind = Registry.discover().get("tokenizer", "bpe").load()
    try:
        tokenizer = kind(vocab_size=vocab_size, min_frequency=min_frequency)
    except ValueError as error:  # the limits are the tokenizer's own
        raise TokenizerError(refusal(error)) from error
    if output.is_dir() or not output.parent.is_dir():  # refused before the work, not after it
        raise TokenizerError(f"{output}: expected a file in a folder that exists")
    check_new(output, overwrite=overwrite)
    with TokenizerProgress(files, vocab_size, shown=not quiet) as progress:
        texts = progress.read(field)
        reports = "progress" in signature(tokenizer.train).parameters  # ours has it, others may not
        trained = tokenizer.train(texts, **({"progress": progress.merged} if reports else {}))
    with tempfile.TemporaryDirectory() as folder:
        trained.save(Path(folder))
        (saved,) = Path(folder).iterdir()
        try:
            with new_file(output) as temporary:
                temporary.write_bytes(saved.read_bytes())
        except OSError as error:
            raise TokenizerError(f"{output}: {error.strerror}") from error
    click.echo(f"{output}: {trained.vocabulary.size} tokens", err=True)


@command.command()
@click.argument("text", required=False)
@_tokenizer
@click.option(
    "--jsonl-in",
    metavar="FILE",
    type=_path,
    help="File with one text per line: JSON strings, or objects with the text under --field. "
    "Or a JSON array of texts. - is stdin.",
)
@click.option("--field", metavar="NAME", help="Key of the text in JSON objects.  [default: text]")
@_parse_special
@json_option
def encode(
    text: str | None,
    file: Path,
    jsonl_in: Path | None,
    field: str | None,
    *,
    parse_special: bool,
    as_json: bool,
) -> None:
    """Print the token ids of TEXT, or of the text on stdin.

    Truncation and padding in the file are not applied. Write a TEXT that starts with a dash after
    --.

    \b
    Examples:
      aios tokenizer encode "Return the path." --tokenizer runs/tokenizer.json
      aios tokenizer encode --json --tokenizer runs/tokenizer.json < README.md
      aios tokenizer encode --tokenizer runs/tokenizer.json -- -5
    """  # noqa: D301  # \b is for click
    if jsonl_in is None and field is not None:
        raise click.UsageError("--field is the key of the texts of --jsonl-in; leave it out")
    if jsonl_in is not None and text is not None:
        raise click.UsageError("TEXT and --jsonl-in both say what to encode; leave one out")
    tokenizer = _load(file, parse_special=parse_special)
    _tell_backend(tokenizer, file)
    if jsonl_in is not None:
        texts, lines = _texts(jsonl_in, field or "text")
        rows = [row.tolist() for row in tokenizer.encode_each(texts)]
        click.echo("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
        return
    ids = tokenizer.encode(_stdin() if text is None else text).tolist()
    click.echo(json.dumps(ids) if as_json else " ".join(map(str, ids)))


@command.command()
@click.argument("ids", nargs=-1, type=whole(0, 2**31 - 1))
@_tokenizer
def decode(ids: tuple[int, ...], file: Path) -> None:
    """Print the text of IDS, or of the ids on stdin: numbers with spaces between, or a JSON array.

    \b
    Examples:
      aios tokenizer decode 312 260 95 --tokenizer runs/tokenizer.json
    """  # noqa: D301  # \b is for click
    given = ids or _ids(sys.stdin.read())
    click.echo(_load(file).decode(given), nl=False)


@command.command()
@click.argument("text", required=False)
@_tokenizer
@_parse_special
@json_option
def inspect(text: str | None, file: Path, *, parse_special: bool, as_json: bool) -> None:
    """Show the tokens of TEXT, or of the text on stdin, and which library makes them.

    \b
    Examples:
      aios tokenizer inspect "Return the path." --tokenizer runs/tokenizer.json
    """  # noqa: D301  # \b is for click
    tokenizer = _load(file, parse_special=parse_special)
    text = _stdin() if text is None else text
    ids = tokenizer.encode(text).tolist()
    tokens = [tokenizer.token(i) for i in ids]
    words, size = len(text.split()), len(text.encode())
    facts = {
        "tokens": len(ids),
        "fertility": len(ids) / words if words else None,
        "bytes_per_token": size / len(ids) if ids else None,
    }
    if as_json:
        print_json({"ids": ids, "pieces": tokens, **facts, **_backend(tokenizer)})
        return
    colours = ("cyan", "magenta")
    visible = map(_visible, tokens)
    shown = (click.style(p, fg=colours[i % 2], reverse=True) for i, p in enumerate(visible))
    click.echo("".join(shown))
    described = (f"{name.replace('_', ' ')} {value:.3g}" for name, value in facts.items() if value)
    click.echo(", ".join(described), err=True)
    _tell_backend(tokenizer, file, always=True)


def _backend(tokenizer: TrainedTokenizer) -> dict[str, str | None]:
    """Which library works out the ids, and why not our own engine; of one of `hf`."""
    own: Any = tokenizer
    return {"backend": own.backend, "reason": own.engine.reason}


def _tell_backend(tokenizer: TrainedTokenizer, file: Path, *, always: bool = False) -> None:
    backend, reason = _backend(tokenizer).values()
    if reason is not None:
        message = (
            f"{file}: read by the library {backend}, which is slower than our engine: {reason}"
        )
        click.echo(message, err=True)
    elif always:
        click.echo(f"{file}: read by our engine", err=True)


def _visible(piece: str) -> str:
    """A piece with a sign for what has none, and for what would change the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in piece)


def _load(file: Path, *, parse_special: bool = False) -> TrainedTokenizer:
    """The tokenizer of a file, by the engine where that gives the same ids."""
    from aios_core.registry import Registry

    kind = Registry.discover().get("tokenizer", "hf").load()
    made = kind(file=file, engine=True, parse_special=parse_special)
    tokenizer: TrainedTokenizer = made.train([])
    return tokenizer


def _stdin() -> str:
    """The text on stdin as it is, with the ends of its lines."""
    data: bytes = sys.stdin.buffer.read()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} (0x{data[error.start]:02x})"
        raise TokenizerError(f"stdin: expected UTF-8, got {byte}: {error.reason}") from error


def _ids(content: str) -> list[int]:
    """Ids in a text, as `encode` prints them with and without ``--json``."""
    listed = content.strip()
    if listed.startswith("[") and listed.endswith("]"):
        listed = listed[1:-1].replace(",", " ")
    words = listed.split()
    for word in words:
        if not (word.isascii() and word.isdecimal() and len(word) < 11):
            raise TokenizerError(f"stdin: expected ids, whole numbers from 0 on, got {word[:40]!r}")
    if not words:
        raise click.UsageError("expected IDS, or ids on stdin, got none")
    return [int(word) for word in words]


def _texts(file: Path, field: str) -> tuple[Sequence[str], bool]:
    """The texts of a file, and whether they are one a line rather than a JSON array."""
    if str(file) != "-" and (wrong := no_file(file)):
        raise TokenizerError(f"{file}: {wrong}; expected a file of texts")
    try:
        content = _stdin() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TokenizerError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{file}: expected UTF-8: {error}") from error
    if content.lstrip().startswith("["):
        texts = _parsed(content, str(file))
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise TokenizerError(
                    f"{file}: item {number}: expected a text, got {type(text).__name__}"
                )
        return texts, False
    lines = [(n, line) for n, line in enumerate(content.split("\n"), 1) if line.strip()]
    return [_text(_parsed(line, f"{file}:{n}"), field, f"{file}:{n}") for n, line in lines], True


def _parsed(content: str, where: str) -> Any:
    try:
        return strict_json.loads(content)
    except strict_json.RepeatedKeyError as error:
        raise TokenizerError(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{where}: expected JSON: {error}") from error


def _text(value: Any, field: str, where: str) -> str:
    """A string, or that under a key of an object."""
    text = value.get(field) if isinstance(value, dict) else value
    if not isinstance(text, str):
        keys = f" with {', '.join(map(repr, value))}" if isinstance(value, dict) else ""
        raise TokenizerError(
            f"{where}: expected a text, or an object with one under {field!r} (--field names "
            f"another key), got {type(value).__name__}{keys}"
        )
    return text


@frozen
class Tokenizer(Command):
    """Train tokenizers, and use any tokenizer.json."""

    def build(self) -> click.Command:
        """The command."""
        return command
