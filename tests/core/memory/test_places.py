"""Where a store is, as users write it, and what is never shown of it."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_core import logs
from aios_core.config import resolve
from aios_core.contracts import store_schema
from aios_core.errors import AIOSError, ConfigError, RowError, StorageError
from aios_core.memory import Place, open_store
from aios_core.memory.place import typed
from aios_core.redaction import redacted
from aios_core.registry import Registry
from aios_plugins import storage
from aios_plugins.storage.arrow import Arrow
from aios_plugins.storage.lancedb import LanceDb
from aios_plugins.storage.numpy import Numpy
from aios_plugins.storage.qdrant import Qdrant

SECRET = "s3cr3t-W0rd"


@pytest.mark.parametrize("text", ["sqlite:oops", "sqlite:/tmp/oops", "Notes:monday", "2024:notes"])
def test_a_type_that_is_not_installed_is_an_error(text):
    """Fault N6: and never the name of a folder."""
    with pytest.raises(StorageError, match="no storage backend is called") as error:
        Place.of(text)

    assert f"the folder of that name is './{text}'" in str(error.value)
    assert "arrow" in str(error.value)


def test_what_could_provide_a_type_is_named():
    """Fault N6: plugins that failed to load."""

    class Broken:
        AIOS_API = "1"

        def aios_storage_backends(self):
            raise RuntimeError("libsqlite is gone")

    registry = Registry.empty()
    registry.add(storage, distribution="ai-os-diffusion", version="1", name="storage")
    registry.add(Broken(), distribution="x-sqlite", version="0.3", name="sqlite")

    with pytest.raises(StorageError, match=r"x-sqlite 0\.3"):
        Place.of("sqlite:notes", registry=registry)


@pytest.mark.parametrize(
    ("text", "backend", "uri"),
    [
        ("notes", Arrow, "notes"),
        ("./sqlite:oops", Arrow, "./sqlite:oops"),
        ("/tmp/a:b", Arrow, "/tmp/a:b"),
        ("arrow:a:b", Arrow, "a:b"),
        ("lancedb:s3://bucket/notes", LanceDb, "s3://bucket/notes"),
        ("qdrant:http://host:6333/notes", Qdrant, "http://host:6333/notes"),
        ("qdrant:HTTPS://host/notes", Qdrant, "HTTPS://host/notes"),
    ],
)
def test_places_are_folders_or_a_type_and_a_uri(text, backend, uri):
    """Fault N6: what is a place stays one."""
    place = Place.of(text)

    assert (backend, uri) == (type(place.backend), place.uri)


@pytest.mark.parametrize(
    ("text", "said"), [("numpy:notes", "lancedb"), ("lancedb:notes", "numpy"), ("notes", "numpy")]
)
def test_the_type_that_a_place_names_counts(text, said, tmp_path):
    """Fault N6: above what a file and `--set` say, which are for places that name none."""
    config = tmp_path / "c.toml"
    config.write_text(f"[storage]\ntype = '{said}'\n")
    backends = {"numpy": Numpy, "lancedb": LanceDb}
    right = backends[typed(text) or said]

    for how in ({"overrides": [f"storage.type={said}"]}, {"config": config}):
        place = Place.of(text, **how)
        assert (right, "notes") == (type(place.backend), place.uri)
    place = Place.of("lancedb:notes", overrides=["storage.type=arrow", "storage.index_rows=300"])
    assert LanceDb(index_rows=300) == place.backend


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://localhost/db?table=n", "'arrow' has no stores at postgresql://.* pgvector:"),
        ("numpy:http://host:6333/notes", "expected a folder, or qdrant:http://host:6333/notes"),
        ("s3://bucket/notes", "'arrow' has no stores at s3://; expected a folder"),
        ("qdrant:ftp://host/notes", "expected http:// or https:// or a folder"),
        ("lancedb:", "names no place"),
        ("~/notes", "'~' is not replaced here; expected the whole path, or './~/notes'"),
        ("numpy:~", "'~' is not replaced"),
    ],
)
def test_a_server_is_no_folder(text, message):
    """Fault N6: a URI of a server under a backend that knows folders only, or a user's home."""
    with pytest.raises(StorageError, match=message):
        Place.of(text)


def test_a_store_is_not_made_in_a_store(tmp_path):
    place = Place(Arrow(), str(tmp_path / "notes"))
    open_store(place, schema=store_schema(2)).close()

    with pytest.raises(StorageError, match="is in the store"):
        open_store(Place(Arrow(), f"{place.uri}/sub"), schema=store_schema(2))


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{SECRET}@host/db?table=t",
        f"pgvektor:postgresql://u:{SECRET}@host/db?table=t",
        f"'postgresql://:{SECRET}@host/db'",
        f"postgresql://u:{SECRET}/x@y@host/db",
        f"postgresql://u:a {SECRET}@host/db",
        f"postgresql://u:12{SECRET}@host:5432/db is gone",
        f"postgresql://host/db?user=u&password={SECRET}&table=t",
        f"host=h password={SECRET} dbname=d",
        f"host=h password='a {SECRET}' dbname=d",
        f"https://host/x?api_key={SECRET}",
    ],
)
def test_passwords_are_never_shown(text):
    """Fault N6: in no error of ours, whoever raises it, and in no log."""
    shown = [
        str(AIOSError(text)),
        str(StorageError(f"{text}: is gone")),
        str(ConfigError(f"a: {text}", text)),
        *ConfigError(text).problems,
        RowError(3, "a", text).what,
        repr(Place(Arrow(), text)),
    ]
    for formatter in (logs._Text(), logs._JSONLines()):
        record = logging.LogRecord("a", logging.WARNING, "", 0, "at %s", (text,), None)
        shown.append(formatter.format(record))

    assert [] == [each for each in shown if SECRET in each]
    assert all("***" in each for each in shown)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_other_texts_stay_as_they_are(text):
    plain = text.replace("://", "").replace("=", "")

    assert plain == redacted(plain)
    assert "http://host:6333/notes: 2@3" == redacted("http://host:6333/notes: 2@3")


def test_what_a_driver_quotes_of_a_uri_is_not_shown():
    """Fault N6: libpq names the word that it could not read, which is the password."""
    from aios_plugins.storage.pgvector import PgVector

    uri = f"postgresql://u:{SECRET}%zz@localhost:1/db?table=t"
    for call in (PgVector().exists, PgVector().open):
        with pytest.raises(StorageError) as error:
            call(uri)
        assert SECRET not in str(error.value)
        assert error.value.__suppress_context__  # tracebacks leave out what the driver said


@pytest.mark.parametrize("key", ["memory.uri", "dataset.store"])
def test_a_run_keeps_no_password(key):
    """Fault N6: its lock file and its report would show it."""
    uri = f"postgresql://u:{SECRET}@host/db?table=t"
    values = {"dataset": {"type": "memories", "store": "x"}, "memory": {"k": 1}}
    with pytest.raises(ConfigError, match="holds a password") as error:
        resolve(values, overrides=[f"{key}={json.dumps(uri)}"])

    assert SECRET not in str(error.value)
