"""What an error says when closing the store fails too."""

import shutil

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_plugins.storage.arrow import Arrow

LOST = "was removed while the store was open"


@pytest.fixture
def gone(tmp_path):
    """A store that wrote, and whose folder is removed before it is closed."""
    with_rows = Arrow().create(str(tmp_path / "s"), store_schema(2))
    with_rows.add([{"id": "a", "vector": [1, 0]}])
    shutil.rmtree(tmp_path / "s")
    return with_rows


@pytest.mark.parametrize(
    "first", [StorageError("3840 rows were added before"), KeyboardInterrupt()], ids=repr
)
def test_what_went_wrong_first_is_told(gone, first):
    """Everything else of section 1: on a full disk the words of close() hid those of add()."""
    with pytest.raises(type(first)) as caught, gone:
        raise first

    assert caught.value is first
    (note,) = first.__notes__
    assert note.startswith("closing the store failed as well: ")
    assert LOST in note


def test_an_error_of_closing_alone_is_told(gone):
    with pytest.raises(StorageError, match=LOST), gone:
        pass
