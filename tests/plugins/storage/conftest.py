"""What tests of several backends do."""

import pytest

from aios_core.contracts import store_schema
from aios_core.memory import migrate
from aios_plugins.storage.arrow import Arrow


@pytest.fixture
def there_and_back(tmp_path):
    """A function that moves fifty rows from a folder to a place, and from there to another."""

    def move(far, ids, id_type="string"):
        rows = [{"id": one, "vector": [1, int(one), 2], "text": f"text {one}"} for one in ids]
        with Arrow().create(str(tmp_path / "a"), store_schema(3, id_type=id_type)) as near:
            near.add(rows)
            with far.backend.create(far.uri, near.schema) as there:
                assert 50 == migrate(near, there).copied
        with (
            far.backend.open(far.uri) as there,
            Arrow().create(str(tmp_path / "b"), there.schema) as back,
        ):
            assert (50, 50) == (migrate(there, back).rows, back.count())

    return move
