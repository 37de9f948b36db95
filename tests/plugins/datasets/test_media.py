"""Pictures and sounds with texts: what rows hold, what is held out, and what is refused."""

from __future__ import annotations

import io
import json
import logging
import struct
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aios_core.config import resolve
from aios_core.contracts import Sound
from aios_core.errors import ConfigError, DataError, MissingExtraError
from aios_core.joint.rows import prepare
from aios_core.testing.contracts.dataset import DatasetContract
from aios_plugins.datasets import _media
from aios_plugins.datasets.media import Media

Image = pytest.importorskip("PIL.Image")
soundfile = pytest.importorskip("soundfile")


def pixels_of(number: int, size=(6, 4), mode="L"):
    shape = (*size, 3) if mode == "RGB" else size
    return np.random.default_rng(number).integers(0, 256, shape, np.uint8)


def png(number: int, size=(6, 4), mode="L") -> bytes:
    return written(Image.fromarray(pixels_of(number, size, mode)))


def written(image, kind="PNG", **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def samples_of(number: int, count=80):
    return (np.random.default_rng(number).integers(-(2**15), 2**15, count) / 2**15).astype("f4")


def wav(number: int, rate=8000, samples=None, kind="WAV", **how) -> bytes:
    buffer = io.BytesIO()
    samples = samples_of(number) if samples is None else samples
    soundfile.write(buffer, samples, rate, format=kind, **how)
    return buffer.getvalue()


@pytest.fixture
def table(tmp_path):
    """A function that writes files and a table of rows, and gives the path of the table."""

    def table(rows, files=None, name="rows.jsonl"):
        for other, data in (files or {}).items():
            path = tmp_path / other
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        path = tmp_path / name
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif name.endswith(".csv"):
            lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
            path.write_text("\n".join(lines) + "\n")
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return table


@pytest.fixture
def many(table):
    rows = [{"text": f"number {n}", "image": f"in/{n}.png", "audio": f"{n}.wav"} for n in range(30)]
    files = {f"in/{n}.png": png(n) for n in range(30)} | {f"{n}.wav": wav(n) for n in range(30)}
    return table(rows, files)


def all_rows(path, **fields):
    return list(Media(path, **fields).all_rows())


def by_name(row):
    return {segment.name: segment.content for segment in row.segments}


def problem(path, **fields) -> str:
    with pytest.raises(DataError) as caught:
        all_rows(path, **fields)
    return str(caught.value)


class TestMedia(DatasetContract):
    @pytest.fixture
    def instance(self, table):
        """Few rows of little, for they are read many times, at all rates."""
        rows = [{"image": f"{n}.png"} for n in range(8)] + [{"audio": f"{n}.wav"} for n in range(4)]
        files = {f"{n}.png": png(n) for n in range(8)}
        sounds = {f"{n}.wav": wav(n, samples=samples_of(n, 4)) for n in range(4)}
        return Media(table(rows, files | sounds))


class TestMediaOfTwoTables(DatasetContract):
    @pytest.fixture
    def instance(self, table):
        files = {f"{n}.png": png(n) for n in range(2)}
        other = table([{"text": "n", "image": "1.png"}], files, "held.jsonl")
        return Media(table([{"text": "n", "image": "0.png"}]), other)


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_a_row_is_what_its_files_hold(table, name):
    rows = [{"text": f"t{n}", "image": f"{n}.png", "audio": f"{n}.wav"} for n in range(2)]
    files = {"0.png": png(0), "1.png": png(1, mode="RGB"), "0.wav": wav(0), "1.wav": wav(1, 16000)}
    path = table(rows, files, name)

    first, second = all_rows(path)
    assert ("text", "image", "audio") == tuple(s.name for s in first.segments)
    assert ("text", "image", "audio") == tuple(s.modality for s in first.segments)
    assert "t0" == by_name(first)["text"]
    assert np.array_equal(pixels_of(0)[..., None], by_name(first)["image"])
    assert np.array_equal(pixels_of(1, mode="RGB"), by_name(second)["image"])
    assert Sound(samples_of(0), 8000) == by_name(first)["audio"]
    assert Sound(samples_of(1), 16000) == by_name(second)["audio"]
    assert str(path) in first.where


def test_a_folder_with_one_table_is_that_table(table):
    path = table([{"image": f"{n}.png"} for n in range(2)], {f"{n}.png": png(n) for n in range(2)})

    assert [row.where for row in all_rows(path)] == [row.where for row in all_rows(path.parent)]
    table([{"image": "0.png"}], name="other.csv")
    assert "has 2 tables; expected the path of one, as other.csv" in problem(path.parent)


@pytest.mark.parametrize("wrapped", [False, True])
def test_cells_of_parquet_hold_bytes_also_as_hugging_face_writes_them(table, wrapped):
    def cell(data):
        return {"bytes": data, "path": None} if wrapped else data

    rows = [{"caption": f"{n}", "picture": cell(png(n)), "audio": cell(wav(n))} for n in range(2)]
    path = table(rows, name="rows.parquet")

    first, _ = all_rows(path, text="caption", image="picture")
    assert "0" == by_name(first)["text"]
    assert np.array_equal(pixels_of(0)[..., None], by_name(first)["image"])
    assert Sound(samples_of(0), 8000) == by_name(first)["audio"]


def test_sub_folders_are_texts_and_files_of_one_name_a_row(tmp_path, caplog):
    flac = wav(2, kind="FLAC")
    for name, data in {
        "one/b.png": png(1), "one/a.png": png(0), "one/a.wav": wav(0), "two/x.FLAC": flac,
        "two/notes.md": b"", "readme.txt": b"", ".hidden/c.png": b"", "one/.c.png": b"",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)

    rows = [by_name(row) for row in all_rows(tmp_path)]

    assert [("one", "image", "audio"), ("one", "image"), ("two", "audio")] == [
        (row["text"], *(name for name in row if name != "text")) for row in rows
    ]
    assert "left out, for they are no rows: .txt (1), .md (1)" in caplog.text
    (tmp_path / "one/a.jpg").write_bytes(png(0))
    assert "is a second image of its name; expected one" in problem(tmp_path)


def test_what_a_row_lacks_is_absent_and_files_that_are_not_there_are_counted(table, caplog):
    rows = [
        {"text": "a", "image": "0.png"}, {"text": "b", "image": ""}, {"text": "c", "image": None},
        {"text": "d"}, {"text": "e", "image": "gone.png"}, {"text": "", "image": "1.png"},
    ]  # fmt: skip
    path = table(rows, {"0.png": png(0), "1.png": png(1)})

    made = [tuple(by_name(row)) for row in all_rows(path)]

    assert [("text", "image"), *[("text",)] * 4, ("image",)] == made
    assert "1 of 6 rows have no image, for its file is not there" in caplog.text
    assert f"{path}:5: gone.png" in caplog.text


def test_a_folder_that_has_none_of_the_files_is_another_one(table):
    path = table([{"text": "a", "image": "a.png"}, {"text": "b", "image": "b.png"}])

    assert "rows.jsonl:1: a.png: no such file, as of all 2 in 'image'" in problem(path)


def test_rows_of_one_picture_are_held_out_together(table):
    """Also under two names: five captions of a picture would show what is measured."""
    rows = [{"text": f"{n}", "image": f"{n % 50}-{n % 2}.png"} for n in range(200)]
    files = {f"{n}-{m}.png": png(n) for n in range(50) for m in range(2)}
    data = Media(table(rows, files))

    train, held_out = (
        {by_name(row)["image"].tobytes() for row in data.rows(split)}
        for split in ("train", "validation")
    )
    assert not train & held_out
    assert 50 == len(train | held_out)
    assert 2 <= len(held_out) <= 10


def test_the_seed_decides_what_is_held_out_and_the_order_of_rows_does_not(many):
    def held_out(**fields):
        return {by_name(row)["text"] for row in Media(many, **fields).rows("validation")}

    assert 3 == len(held_out())
    assert 15 == len(held_out(share=0.5))
    assert held_out() != held_out(split_seed=1)
    lines = many.read_text().splitlines()
    kept = held_out()
    many.write_text("\n".join(reversed(lines)))
    assert kept == held_out()


def test_held_out_rows_that_are_trained_on_are_refused_and_files_counted(table, many, caplog):
    other = table([{"text": "another", "image": "in/3.png"}], name="held.jsonl")
    list(Media(many, other).rows("validation"))
    assert "1 of 1 images of the validation split are those of rows to train on, too" in caplog.text
    other = table([{"text": "number 3", "image": "in/3.png", "audio": "3.wav"}], name="held.jsonl")
    with pytest.raises(DataError, match=r"held.jsonl:1: is held out, and equal to .*rows.jsonl:4"):
        list(Media(many, other).rows("train"))
    with pytest.raises(ValueError, match="is what path is"):
        Media(many, many)


# Conversion


@pytest.mark.parametrize(
    ("kind", "mode"), [("L", "RGB"), ("RGB", "L"), ("1", "L"), ("CMYK", "RGB")]
)
def test_modes_are_converted_where_that_is_said(table, kind, mode):
    image = Image.fromarray(pixels_of(0, mode="RGB")).convert(kind)
    data = written(image, "TIFF")
    path = table([{"image": "a.tif"}, {"image": "b.png"}], {"a.tif": data, "b.png": png(1)})

    pixels = by_name(all_rows(path, mode=mode)[0])["image"]
    assert np.array_equal(np.asarray(image.convert(mode)).reshape(pixels.shape), pixels)
    if kind not in ("L", "RGB"):
        assert f"1: a.tif: is a picture of mode {kind}; expected L or RGB; dataset.mode" in problem(
            path
        )


def test_what_is_transparent_is_white(table):
    clear = written(Image.new("RGBA", (2, 1), (10, 20, 30, 0)))
    palette = Image.new("P", (2, 1))
    palette.info["transparency"] = 0
    files = {"a.png": clear, "b.png": written(palette)}
    path = table([{"image": name} for name in files], files)

    for row in all_rows(path, mode="L"):
        assert [[[255], [255]]] == by_name(row)["image"].tolist()


def test_sixteen_bits_are_refused_and_never_cut_off(table):
    deep = written(Image.fromarray(np.full((2, 2), 40_000, np.uint16)))
    path = table([{"image": "a.png"}, {"image": "b.png"}], {"a.png": deep, "b.png": png(1)})

    assert "is a picture of mode I;16; expected 8 bits a channel" in problem(path, mode="L")


def test_sizes_are_brought_to_one_by_the_middle(table):
    wide = np.zeros((8, 64), np.uint8)
    wide[:, 8:-8] = 200
    files = {"a.png": written(Image.fromarray(wide)), "b.png": png(1)}
    path = table([{"image": name} for name in files], files)

    first, second = (by_name(row)["image"] for row in all_rows(path, size=(2, 2)))
    assert (2, 2, 1) == first.shape == second.shape
    assert (first == 200).all()


def test_pictures_stand_as_the_camera_says(table):
    image = Image.fromarray(pixels_of(0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    files = {"a.png": written(image, exif=exif), "b.png": png(1)}
    path = table([{"image": name} for name in files], files)

    pixels = by_name(all_rows(path)[0])["image"]
    assert np.array_equal(np.rot90(pixels_of(0), -1)[..., None], pixels)


def test_rates_are_converted_where_that_is_said(table):
    t = np.arange(16_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype("f4")
    files = {"a.wav": wav(0, 16_000, tone), "b.wav": wav(1)}
    path = table([{"audio": name} for name in files], files)

    sound = by_name(all_rows(path, rate=8000)[0])["audio"]
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    assert (8000, 8000) == (sound.rate, len(sound.samples))
    assert np.abs(sound.samples - expected)[100:-100].max() < 2e-3
    assert np.float32 == sound.samples.dtype


def test_channels_are_averaged_where_that_is_said(table):
    both = np.stack([samples_of(0), samples_of(1)], 1)
    path = table(
        [{"audio": "a.wav"}, {"audio": "b.wav"}], {"a.wav": wav(0, samples=both), "b.wav": wav(2)}
    )

    assert ":1: a.wav: has 2 channels; expected one, or dataset.mono = true" in problem(path)
    made = by_name(all_rows(path, mono=True)[0])["audio"].samples
    assert np.allclose(both.mean(1), made, atol=1e-6)


def test_a_sound_that_a_codec_made_louder_than_all_is_cut(table):
    loud = np.sign(np.sin(np.arange(8000) / 3)).astype("f4")
    path = table(
        [{"audio": "a.ogg"}, {"audio": "b.ogg"}],
        {"a.ogg": wav(0, samples=loud, kind="OGG"), "b.ogg": wav(1, kind="OGG")},
    )

    assert 1 == np.abs(by_name(all_rows(path)[0])["audio"].samples).max()


# What is refused


def bomb(width, height) -> bytes:
    """A PNG whose header says more than any memory holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def long_wav() -> bytes:
    """A WAV whose header says that it goes on for ever, as of a pipe."""
    data = bytearray(wav(0))
    struct.pack_into("<I", data, 4, 2**32 - 1)
    return bytes(data)


JPEG = written(Image.fromarray(pixels_of(0, (64, 64))), "JPEG")
SECOND = Image.new("L", (2, 2), 9)
FILM = written(Image.new("L", (2, 2)), "GIF", save_all=True, append_images=[SECOND])
BROKEN = {
    "empty.png": (b"", "is no picture that can be read"),
    "text.png": (b"no picture at all", "is no picture that can be read"),
    "cut.png": (png(0, (64, 64))[:-200], "is no picture that can be read"),
    "cut.jpg": (JPEG[:300], "is no picture that can be read"),
    "flipped.png": (png(0, (64, 64)).replace(b"IDAT", b"IDAX"), "is no picture that can be read"),
    "large.png": (bomb(9000, 9000), "has 9000 x 9000 pixels; expected at most 67108864"),
    "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture that"),
    "film.gif": (FILM, "holds 2 pictures; expected one"),
    "empty.wav": (b"", "is no sound that can be read"),
    "text.wav": (b"no sound at all", "is no sound that can be read"),
    "cut.wav": (wav(0)[:-20], "ends after 184 of 204 bytes"),
    "silent.wav": (wav(0, samples=np.zeros(0, "f4")), "holds no sound"),
    "nan.wav": (wav(0, samples=np.array([0, np.nan], "f4"), subtype="FLOAT"), "no finite numbers"),
    "inf.wav": (wav(0, samples=np.array([0, np.inf], "f4"), subtype="FLOAT"), "no finite numbers"),
    "loud.wav": (wav(0, samples=np.array([0, 300], "f4"), subtype="FLOAT"), "up to 300; expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named_with_its_row(table, name):
    data, words = BROKEN[name]
    kind = "audio" if name.endswith(".wav") else "image"
    good = {"audio": ("good.wav", wav(5)), "image": ("good.png", png(5))}[kind]
    path = table([{kind: good[0]}, {kind: name}], {name: data, good[0]: good[1]})

    message = problem(path)
    assert message.startswith(f"{path}:2: {name}: "), message
    assert words in message


def test_a_decompression_bomb_is_refused_before_memory_is_taken(table):
    import tracemalloc

    huge = bomb(2**31 - 1, 2**31 - 1)
    path = table([{"image": "a.png"}, {"image": "b.png"}], {"a.png": huge, "b.png": png(0)})
    tracemalloc.start()
    message = problem(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert f"{path}:1: a.png: " in message
    assert peak < 1 << 26


def test_what_is_too_long_is_refused_before_memory_is_taken(monkeypatch):
    monkeypatch.setattr(_media, "MOST_SAMPLES", 79)
    with pytest.raises(DataError, match=r"a: has 80 samples of 1 channels; expected at most 79"):
        _media.sound(wav(0), "a", None, mono=False)
    monkeypatch.setattr(_media, "MOST_SAMPLES", 80)
    with pytest.raises(DataError, match=r"has 80 samples at 8000 a second; expected at most 80 at"):
        _media.sound(wav(0), "a", 10**6, mono=False)
    assert 80 == len(_media.sound(long_wav(), "a", None, mono=False).samples)


def test_a_file_that_is_too_large_is_refused(table, monkeypatch):
    path = table([{"image": "a.png"}, {"image": "b.png"}], {"a.png": png(0), "b.png": png(1)})
    monkeypatch.setattr(_media, "MOST_BYTES", 20)

    assert "rows.jsonl:1: a.png: is larger than 20 bytes" in problem(path)


@pytest.mark.parametrize("name", ["../out.png", "/etc/hostname", "in/../../out.png", "link.png"])
def test_no_path_leaves_its_folder(table, tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "out.png").write_bytes(png(0))
    (tmp_path / "data/link.png").symlink_to(tmp_path / "out.png")
    path = table([{"image": name}], name="data/rows.jsonl")

    assert f"{path}:1: {name}: leads out of {path.parent}" in problem(path)


def test_no_link_leads_out_of_a_folder_of_folders(tmp_path):
    (tmp_path / "data/one").mkdir(parents=True)
    (tmp_path / "out.png").write_bytes(png(0))
    (tmp_path / "data/one/a.png").symlink_to(tmp_path / "out.png")

    assert f"a.png: leads out of {tmp_path / 'data'}" in problem(tmp_path / "data")


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000, "in"])
def test_what_is_no_path_of_a_file_is_refused(table, tmp_path, name):
    (tmp_path / "in").mkdir()
    message = problem(table([{"image": name}, {"text": "a"}]))

    assert "is no path" in message or "is no file" in message
    assert "rows.jsonl:1: " in message


@pytest.mark.parametrize(
    ("rows", "fields", "words"),
    [
        ([{"text": 7}], {}, ":1: expected a text in 'text', got int"),
        ([{"text": "\ud800"}], {}, ":1: expected a text in 'text', got half of a surrogate pair"),
        ([{"image": 7}], {}, ":1: expected a path or bytes in 'image', got int"),
        ([{"image": [1.0, 2.0]}], {}, ":1: expected a path or bytes in 'image', got list"),
        ([{"text": "a"}, {"text": ""}], {}, ":2: has no text, image or audio; expected one"),
        ([{"label": "a"}], {}, "no column text, image or audio; expected one of label, as"),
        ([{"text": "a"}], {"image": "photo"}, "no column 'photo'; expected one of text"),
    ],
)
def test_rows_that_are_none_are_named(table, rows, fields, words):
    assert words in problem(table(rows), **fields)


def test_nothing_is_no_data(tmp_path):
    assert "no such file or folder; expected a table, or a folder" in problem(tmp_path / "none")
    assert "has no row; expected a table, or sub-folders" in problem(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    assert "is text, which has no columns" in problem(tmp_path / "a.txt")


@pytest.mark.parametrize(("module", "extra"), [("PIL", "image"), ("soundfile", "sound")])
def test_an_extra_that_is_not_installed_is_named(many, monkeypatch, module, extra):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"ai-os-diffusion\[{extra}\]"):
        next(Media(many).rows("train"))


def test_a_file_that_changes_while_it_is_read_is_refused(many):
    rows = Media(many).rows("train")
    next(rows)
    for number in range(30):
        (many.parent / f"in/{number}.png").write_bytes(png(100 + number))
    with pytest.raises(DataError, match="was changed while it was being read"):
        list(rows)


# With the modalities


def config(path, **fields):
    modalities = [
        {"type": "text", "name": "text"},
        {"type": "pixels", "size": [6, 4], "patch": 2},
        {"type": "mel", "frames": 8},
    ]
    return resolve(
        {"dataset": {"type": "media", "path": str(path), **fields}, "modalities": modalities}
    )


def test_rows_become_states_of_a_network(many, caplog):
    caplog.set_level(logging.INFO)
    lines = many.read_text().splitlines()
    lines[0] = json.dumps({"text": "number 0", "audio": "0.wav"})
    many.write_text("\n".join(lines))

    rows = prepare(config(many))

    assert 30 == len(rows.train) + len(rows.held_out)
    assert "1 of " in caplog.text
    assert "rows have no image" in caplog.text


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("in/3.png", png(0, (8, 8)), "8 x 8 with 1 channel; expected 6 x 4 with 1 channel"),
        ("in/3.png", png(0, mode="RGB"), "6 x 4 with 3 channels; expected 6 x 4 with 1 channel"),
        ("3.wav", wav(0, 16_000), "has 16000 samples a second; expected 8000"),
        (
            "3.wav",
            wav(0, samples=np.zeros(5000, "f4")),
            "is 0.625 s long; expected at most 0.128 s",
        ),
    ],
)
def test_what_a_modality_does_not_take_is_named_with_file_and_row(many, name, data, words):
    (many.parent / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        prepare(config(many))

    assert words in str(caught.value)
    assert f"{many}:4" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", [0, 4]),
        ("size", [4, 2**20]),
        ("rate", 0),
        ("mode", "P"),
        ("share", 1.0),
        ("image", ""),
    ],
)
def test_values_out_of_bounds_are_refused(many, key, value):
    with pytest.raises(ConfigError, match=f"dataset.{key}"):
        config(many, **{key: value})
