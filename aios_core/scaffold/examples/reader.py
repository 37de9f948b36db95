"""A reader of files: one class and the hook that offers it, by the suffix of such files."""

from attrs import frozen

import aios_core
from aios_core import contracts
from aios_core.contracts.reader import FileRow, unseen
from aios_core.errors import DataError

AIOS_API = 1


@frozen
class Entries(contracts.FileReader):
    """A text a line."""

    def rows(self, path, on_progress=unseen):
        """Each line that has a text."""
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    text = line.decode().strip()
                except UnicodeDecodeError as error:
                    raise DataError(f"{self.where(path, number)}: is not UTF-8") from error
                if text:
                    yield FileRow(number, {"text": text}, None)
        on_progress(1000)

    def example(self):
        """A small file, as its bytes."""
        return b"first\n\nsecond\n"


@aios_core.hookimpl
def aios_file_readers():
    """Suffixes, and the classes that read such files."""
    return {"entries": Entries}
