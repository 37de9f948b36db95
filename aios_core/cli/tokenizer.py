"""`aios tokenizer`: train a tokenizer, and apply or inspect one from any ``tokenizer.json``."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aios_core.cli.common import COUNT, json_option, print_json
from aios_core.errors import TokenizerError

if TYPE_CHECKING:
    from aios_core.contracts import TrainedTokenizer

_path = click.Path(path_type=Path)
_tokenizer = click.option(
    "--tokenizer", "file", metavar="FILE", required=True, type=_path, help="A tokenizer.json."
)


@click.group()
def command() -> None:
    """Train tokenizers, and apply any tokenizer.json.

    \b
    Examples:
      aios tokenizer train *.md --vocab-size 1000 --output runs/tokenizer.json
      aios tokenizer inspect "Return the path." --tokenizer runs/tokenizer.json
    """  # noqa: D301  # \b is for click


@command.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_path)
@click.option("--vocab-size", default=32_000, show_default=True, type=COUNT)
@click.option("--min-frequency", default=2, show_default=True, type=COUNT)
@click.option(
    "--field", metavar="NAME", help="Where texts are in JSON lines, Parquet or Arrow files."
)
@click.option("--output", metavar="FILE", required=True, type=_path, help="Where to write it.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def train(
    files: tuple[Path, ...],
    vocab_size: int,
    min_frequency: int,
    field: str | None,
    output: Path,
    *,
    quiet: bool,
) -> None:
    """Learn byte-level BPE from texts.

    \b
    Examples:
      aios tokenizer train *.md --vocab-size 1000 --output runs/tokenizer.json
      aios tokenizer train examples/notes.jsonl --field text --vocab-size 300 --output runs/t.json
    """  # noqa: D301  # \b is for click
    from aios_core.cli.tokenizer_progress import TokenizerProgress
    from aios_core.files import new_file
    from aios_core.registry import Registry

    kind = Registry.discover().get("tokenizer", "bpe").load()
    try:
        tokenizer = kind(vocab_size=vocab_size, min_frequency=min_frequency)
    except ValueError as error:  # the limits are the tokenizer's own
        raise TokenizerError(str(error)) from error
    if output.is_dir() or not output.parent.is_dir():  # told before the work, not after it
        raise TokenizerError(f"{output}: want a file in a folder that exists")
    with TokenizerProgress(files, vocab_size, shown=not quiet) as progress:
        texts = progress.read(field)
        told = "progress" in signature(tokenizer.train).parameters  # ours has it, others may not
        trained = tokenizer.train(texts, **({"progress": progress.merged} if told else {}))
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
@click.option("--jsonl-in", metavar="FILE", type=_path, help="A JSON array of texts; - is stdin.")
@json_option
def encode(text: str | None, file: Path, jsonl_in: Path | None, *, as_json: bool) -> None:
    """Print the ids of TEXT, or of stdin.

    \b
    Examples:
      aios tokenizer encode "Return the path." --tokenizer runs/tokenizer.json
      aios tokenizer encode --json --tokenizer runs/tokenizer.json < README.md
    """  # noqa: D301  # \b is for click
    tokenizer = _load(file)
    if jsonl_in is not None:
        rows = tokenizer.encode_each(_array(jsonl_in))
        click.echo(json.dumps([row.tolist() for row in rows]))
        return
    ids = tokenizer.encode(sys.stdin.read() if text is None else text).tolist()
    click.echo(json.dumps(ids) if as_json else " ".join(map(str, ids)))


@command.command()
@click.argument("ids", nargs=-1, type=click.IntRange(0, 2**31 - 1))
@_tokenizer
def decode(ids: tuple[int, ...], file: Path) -> None:
    """Print the text of IDS.

    \b
    Examples:
      aios tokenizer decode 312 260 95 --tokenizer runs/tokenizer.json
    """  # noqa: D301  # \b is for click
    click.echo(_load(file).decode(ids), nl=False)


@command.command()
@click.argument("text", required=False)
@_tokenizer
@json_option
def inspect(text: str | None, file: Path, *, as_json: bool) -> None:
    """Show the pieces of TEXT, or of stdin, and how many there are.

    \b
    Examples:
      aios tokenizer inspect "Return the path." --tokenizer runs/tokenizer.json
    """  # noqa: D301  # \b is for click
    tokenizer = _load(file)
    text = sys.stdin.read() if text is None else text
    ids = tokenizer.encode(text).tolist()
    pieces = [tokenizer.token(i) for i in ids]
    words, size = len(text.split()), len(text.encode())
    facts = {
        "tokens": len(ids),
        "fertility": len(ids) / words if words else None,
        "bytes_per_token": size / len(ids) if ids else None,
    }
    if as_json:
        print_json({"ids": ids, "pieces": pieces, **facts})
        return
    colours = ("cyan", "magenta")
    visible = map(_visible, pieces)
    shown = (click.style(p, fg=colours[i % 2], reverse=True) for i, p in enumerate(visible))
    click.echo("".join(shown))
    told = (f"{name.replace('_', ' ')} {value:.3g}" for name, value in facts.items() if value)
    click.echo(", ".join(told), err=True)


def _visible(piece: str) -> str:
    """A piece with a sign for what has none, and for what would change the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in piece)


def _load(file: Path) -> TrainedTokenizer:
    """The tokenizer of a file, by the engine where that gives the same ids."""
    from aios_core.registry import Registry

    kind = Registry.discover().get("tokenizer", "hf").load()
    tokenizer: TrainedTokenizer = kind(file=file, engine=True).train([])
    return tokenizer


def _array(file: Path) -> Sequence[str]:
    """The texts of a JSON array."""
    try:
        content = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        texts = json.loads(content)
    except OSError as error:
        raise TokenizerError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise TokenizerError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TokenizerError(f"{file}: want a JSON array of texts")
    return texts
