"""The journal: what was tried, what stays, and which version the model stands for.

``evolution/`` in the folder of a run holds ``versions/ID/``, a skill card each, never changed;
``journal.jsonl``, to which lines are added and nothing else; ``last``, the digest of a line that
must be there, so that lines which are cut off are noticed; and ``HEAD``, the id of a version. A
version appears under its name when it is whole, then the journal records it, and HEAD moves last:
whatever stops the process, HEAD names a version that is there.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from aios_core.errors import EvolutionError
from aios_core.files import new_folder, remove_folder, replace_text, sync
from aios_core.training.digest import text_digest
from aios_core.training.history import claim, keeper
from aios_plugins.evolution.card import Card, read, read_card, write

if TYPE_CHECKING:
    from aios_core.contracts import Adaptation

NAME: Final = "journal"
"""Of the history that a journal is."""
BASE: Final = "base"
"""HEAD of a model that is as it was trained."""
_ID: Final = re.compile(r"[0-9a-f]{64}")


@frozen
class Journal:
    """The evolution of one run."""

    folder: Path

    @classmethod
    def of(cls, run: Path) -> Journal:
        """That of a run; nothing is written.

        Raises:
            EvolutionError: another history keeps the versions of the run.
        """
        there = keeper(run)
        if there not in {None, NAME}:
            raise EvolutionError(
                f"{run}: its versions are kept by the history {there!r:.80}; expected {NAME!r}"
            )
        return cls(run / "evolution")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone in this journal until the block ends.

        Raises:
            EvolutionError: another process is at work here, or the disk refuses.
        """
        claim(self.folder.parent, NAME)
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise EvolutionError(f"{self.folder}: cannot be written: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EvolutionError(
                    f"{self.folder}: another evolution of this run is at work; expected it to end "
                    "first"
                ) from None
            yield
        finally:
            os.close(descriptor)

    @property
    def head(self) -> str | None:
        """Id of the version that the model stands for; None: as it was trained.

        Raises:
            EvolutionError: HEAD names no version.
        """
        try:
            name = (self.folder / "HEAD").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise EvolutionError(f"{self.folder / 'HEAD'}: cannot be read: {error}") from error
        if name == BASE:
            return None
        if not _ID.fullmatch(name):
            raise EvolutionError(
                f"{self.folder / 'HEAD'}: expected the id of a version, got {name!r:.80}"
            )
        return name

    def entries(self) -> list[dict[str, Any]]:
        """Every line, oldest first; half a line at the end was never finished and does not count.

        Raises:
            EvolutionError: a line is damaged, or not the one that was written there.
        """
        return self._read()[0]

    def _read(self) -> tuple[list[dict[str, Any]], int, str]:
        """Every whole line, how many bytes these are, and the digest of the last."""
        path, entries, end, previous = self.folder / "journal.jsonl", [], 0, ""
        last = self._last()  # first, for a writer adds a line and then moves it
        seen = last == ""
        try:
            text = path.read_bytes().decode()
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise EvolutionError(f"{path}: cannot be read: {error}") from error
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                entry = json.loads(line)
                linked = entry["previous"] == previous
            except (ValueError, TypeError, KeyError) as error:
                raise EvolutionError(f"{path}:{number}: is damaged: {error!r:.200}") from error
            if not linked:
                raise EvolutionError(
                    f"{path}:{number}: does not follow the line before it: one of them was changed"
                )
            entries.append(entry)
            end += len(line.encode()) + 1
            previous = text_digest([line])
            seen = seen or previous == last
        if not seen:
            raise EvolutionError(f"{path}: lines at its end are gone: {len(entries)} are left")
        return entries, end, previous

    def add(self, event: str, **facts: Any) -> None:
        """Add a line, on disk when this returns; only by who holds the lock.

        Raises:
            EvolutionError: it cannot be written, or the journal is damaged.
        """
        _, end, previous = self._read()
        path = self.folder / "journal.jsonl"
        entry = {
            "event": event,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **facts,
            "previous": previous,
        }
        line = json.dumps(entry, allow_nan=False)
        try:
            with path.open("r+b" if path.exists() else "wb") as file:
                file.truncate(end)  # of a line that a killed process left unfinished
                file.seek(end)
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            sync(self.folder)
            replace_text(self.folder / "last", text_digest([line]) + "\n")
        except OSError as error:
            raise EvolutionError(f"{path}: cannot be written: {error.strerror}") from error

    def _last(self) -> str:
        """Digest of a line that must be there; empty where none must."""
        path = self.folder / "last"
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise EvolutionError(f"{path}: cannot be read: {error}") from error

    def keep(self, card: Card, adaptation: Adaptation) -> Card:
        """Write a version, whole or not at all; HEAD stays where it is.

        What is kept was read again as every later command reads it. Of a version that is there
        already the same is asked, and that it was not revoked.

        Returns:
            The card that is there: an older one, with a name of its own, where the version was
            there already.

        Raises:
            EvolutionError: it cannot be written, or not be read again, or was revoked.
        """
        target = self.version(card.skill_id)
        try:
            with new_folder(target) as staging:
                write(staging, card, adaptation)
                if read(staging)[0] != card:
                    raise EvolutionError(f"skill {card.name}: is read otherwise than it was made")
            there, _ = read(target)
            if there.revoked:
                raise EvolutionError(f"skill {there.name} ({there.skill_id[:12]}): was revoked")
        except OSError as error:
            raise EvolutionError(
                f"{target}: cannot be written: {error.strerror or error}; HEAD stays where it was"
            ) from error
        return there

    def revoked(self, skill_id: str) -> bool:
        """Whether a version is there, and was revoked.

        Raises:
            EvolutionError: its card is damaged.
        """
        folder = self.version(skill_id)
        return folder.is_dir() and read_card(folder).revoked

    def drop(self, skill_id: str) -> None:
        """Remove a version that nothing builds on, damaged or not; only by who holds the lock.

        Raises:
            EvolutionError: HEAD or another version builds on it, or the disk refuses.
        """
        folder, head = self.version(skill_id), self.head
        parents = {version: self._parent(version) for version in self.ids()}
        above = [version for version, parent in parents.items() if parent == skill_id]
        if skill_id == head:
            raise EvolutionError(f"{folder}: HEAD names it; let HEAD name another version first")
        if above:
            each = ", ".join(version[:12] for version in above)
            raise EvolutionError(f"{folder}: these versions build on it: {each}; delete them first")
        self.add("delete", to=head, head=head, skill_id=skill_id)
        try:
            remove_folder(folder)
        except OSError as error:
            raise EvolutionError(f"{folder}: cannot be removed: {error.strerror}") from error

    def _parent(self, skill_id: str) -> str | None:
        """What a version was learned on; None where its card cannot say."""
        try:
            return read_card(self.version(skill_id)).parent
        except EvolutionError:
            return None

    def move(self, to: str | None) -> None:
        """Let HEAD name a version, or the base.

        Raises:
            EvolutionError: there is no such version, or the disk refuses.
        """
        if to is not None:
            read_card(self.version(to))
        try:
            replace_text(self.folder / "HEAD", f"{to or BASE}\n")
        except OSError as error:
            raise EvolutionError(f"{self.folder / 'HEAD'}: cannot be written: {error}") from error

    def version(self, skill_id: str) -> Path:
        """Folder of a version."""
        if not _ID.fullmatch(skill_id):
            raise EvolutionError(f"version: expected an id of 64 hex digits, got {skill_id!r:.80}")
        return self.folder / "versions" / skill_id

    def versions(self) -> list[Card]:
        """Cards of all versions, oldest first.

        Raises:
            EvolutionError: one is damaged.
        """
        cards = (read_card(self.version(name)) for name in self.ids())
        return sorted(cards, key=lambda card: card.created)

    def ids(self) -> list[str]:
        """Ids of all versions, of damaged ones too."""
        return sorted(
            path.name for path in self.folder.glob("versions/*") if _ID.fullmatch(path.name)
        )

    def named(self, prefix: str) -> str | None:
        """Id of the version that begins or is named so, or that ``HEAD`` names; None for ``base``.

        Raises:
            EvolutionError: there is none, or more than one, or `prefix` is empty.
        """
        if not prefix.strip():
            raise EvolutionError(
                f"{self.folder}: expected the id of a skill, got {prefix!r:.80}; "
                "`aios skill ls` lists them"
            )
        if prefix == BASE:
            return None
        if prefix == "HEAD":
            return self.head
        matches = [skill_id for skill_id in self.ids() if skill_id.startswith(prefix)]
        matches = matches or [card.skill_id for card in self.versions() if card.name == prefix]
        if len(matches) != 1:
            what = "no version" if not matches else f"{len(matches)} versions"
            raise EvolutionError(
                f"{self.folder}: {what} begins with {prefix!r:.80}, or is named so; "
                "`aios skill ls` lists them"
            )
        return matches[0]

    def chain(self, tip: str | None) -> list[tuple[Card, Adaptation]]:
        """A version and all that it was learned on, the first one first.

        Raises:
            EvolutionError: one is missing or damaged.
        """
        versions: list[tuple[Card, Adaptation]] = []
        while tip is not None:
            card, adaptation = read(self.version(tip))
            if card.skill_id != tip or any(tip == other.skill_id for other, _ in versions):
                raise EvolutionError(
                    f"{self.version(tip)}: is not the version that it is named for"
                )
            versions.append((card, adaptation))
            tip = card.parent
        return versions[::-1]
