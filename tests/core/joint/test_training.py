"""Training of several modalities: what is drawn, kept, gone on with, and refused."""

import json

import attrs
import numpy as np
import pytest
import torch

from aios_core.config import training_key
from aios_core.contracts import Row, Segment
from aios_core.errors import ConfigError, DataError, ModelLoadError, TrainingError
from aios_core.joint.asking import Asking
from aios_core.joint.learner import parts_of
from aios_core.joint.material import Media
from aios_core.joint.rows import prepare
from aios_core.joint.trained import load
from aios_core.testing.modules import stir
from aios_core.training import checkpoint
from aios_core.training.trainer import train


def run(resolved, folder):
    return train(resolved, folder, prepared=Media.of(resolved), progress=False)


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tiny, tmp_path):
    whole = weights(run(tiny(), tmp_path))
    (tmp_path / "checkpoints/latest").write_text("step-000003")

    assert whole == weights(run(tiny(), tmp_path))


def test_accumulated_rows_draw_what_they_draw_together(tiny):
    """1 x 8 and 4 x 2 are one step, to rounding."""
    losses = []
    for size, parts in ((8, 1), (2, 4)):
        resolved = tiny(f"training.batch_size={size}", f"training.accumulate={parts}")
        learner = Media.of(resolved).learner()
        losses.append([learner.step(step).loss.item() for step in range(3)])

    assert np.allclose(*losses, rtol=1e-4)


def test_each_segment_s_loss_and_share_of_the_gradient_are_recorded(tiny, tmp_path):
    """M19."""
    run(tiny(), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for row in (row for row in rows if "loss" in row):
        parts = [row[f"loss.{name}"] for name in ("text", "image", "audio")]
        assert row["loss"] == pytest.approx(sum(parts), rel=1e-4)
        assert pytest.approx(1, rel=1e-4) == sum(
            row[f"gradient.{name}"] for name in ("text", "image", "audio")
        )


def test_a_weight_changes_the_share_by_what_it_says(tiny):
    """M19: a heavier modality has that much more of the gradient, and no more."""
    shares = []
    for weight in (0.1, 10.0):
        values = tiny().values["modalities"]
        values[0]["weight"] = weight
        resolved = tiny().changed(modalities=values)
        learner = Media.of(resolved).learner()
        stir(learner.model)
        drawn = learner._asking.batch(0, 8)
        share = learner._shares(parts_of(resolved.config, learner.model, drawn))
        shares.append(share["gradient.text"] / (1 - share["gradient.text"]))

    assert pytest.approx((10.0 / 0.1) ** 2, rel=1e-2) == (shares[1] / shares[0]).item()


def test_every_row_comes_once_an_epoch_and_what_is_given_stays(tiny):
    resolved = tiny("dataset.given=true")
    rows = prepare(resolved)
    asking = Asking(resolved.config, rows.train)
    seen = torch.cat([asking.batch(step, 8).rows.clean["image"] for step in range(5)])

    assert 40 == len({row.numpy().tobytes() for row in seen})
    for step in range(5):
        assert not asking.batch(step, 8).rows.targets["text"].any()


def test_rows_that_lack_a_segment_train_the_rest(tiny, tmp_path, caplog):
    resolved = tiny("dataset.lacking=true")
    with caplog.at_level("INFO"):
        media = Media.of(resolved)
    assert "train split: 14 of 40 rows have no image" in caplog.text
    drawn = Asking(resolved.config, media.rows.train).batch(0, 40)
    lacking = ~torch.from_numpy(media.rows.train.present["image"])
    assert 14 == int(lacking.sum())
    for name in ("text", "image", "audio"):
        assert not (drawn.rows.targets[name].any(-1) & ~drawn.rows.present[name]).any()
    train(resolved, tmp_path, prepared=media, progress=False)
    assert {("audio", "text"), ("audio", "image", "text")} == {
        have for have, _ in load(tmp_path, registry=resolved.registry).groups
    }


def test_what_was_trained_is_read_back(tiny, tmp_path):
    resolved = tiny()
    media = Media.of(resolved)
    train(resolved, tmp_path, prepared=media, progress=False)
    back = load(tmp_path, registry=resolved.registry)

    assert media.rows.codecs == back.codecs
    assert (6, media.fingerprint) == (back.state.step, back.state.texts)
    with pytest.raises(ModelLoadError, match=r"is a network of several modalities .text, image"):
        checkpoint.load(tmp_path, registry=resolved.registry)


@pytest.mark.parametrize("file", ["image/codec.json", "segments.json"])
def test_another_codec_is_refused(tiny, tmp_path, file):
    resolved = tiny()
    run(resolved, tmp_path)
    path = tmp_path / "modalities" / file
    path.write_text(path.read_text().replace("4", "5").replace("audio", "image"))

    with pytest.raises(ModelLoadError, match=r"other codecs|cannot be read|is damaged"):
        load(tmp_path, registry=resolved.registry)
    path.write_bytes(b"{")
    with pytest.raises(ModelLoadError, match=path.name):
        load(tmp_path, registry=resolved.registry)


def test_another_data_set_does_not_go_on(tiny, tmp_path):
    run(tiny(), tmp_path)
    with pytest.raises(TrainingError, match=r"dataset.count: 40 there, 41 here"):
        run(tiny("dataset.count=41"), tmp_path)


def test_a_configuration_without_modalities_has_the_key_that_it_had(registry):
    """M1."""
    from aios_core.config import resolve

    plain, roles = resolve({}), resolve({"roles": {"alone": 0.3}})
    assert training_key(plain) == training_key(roles)
    assert "roles" not in plain.values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([{"type": "text"}, {"type": "text"}], "two are named 'text'; expected a `name`"),
        ([{"type": "text", "head": {"type": "linear"}}], "not all for tokens"),
        ([{"type": "pixels", "size": [4, 4], "patch": 3}], "expected a divisor of size"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_data_are_read(registry, values, words):
    from aios_core.config import resolve

    with pytest.raises(ConfigError, match=words):
        resolve({"modalities": values}, registry=registry)


def test_a_row_that_does_not_fit_is_named(tiny, monkeypatch):
    resolved = tiny()
    real = type(resolved.config.dataset).rows

    def broken(content, name="image"):
        def rows(self, split):
            first, *rest = real(self, split)
            others = [s for s in first.segments if s.name != name]
            yield Row((*others, Segment(name, content, modality=name)), where="pairs.csv:7")
            yield from rest

        monkeypatch.setattr(type(resolved.config.dataset), "rows", rows)

    for content, name, words in (
        (np.zeros((5, 4, 1), np.uint8), "image", "pairs.csv:7: segment 'image': .*5 x 4"),
        (3, "image", "expected a picture"),
        ("x", "video", "pairs.csv:7: segment 'video' is of no .*modalities"),
    ):
        broken(content, name)
        with pytest.raises(DataError, match=words):
            prepare(resolved, dict(prepare_codecs(resolved, real, monkeypatch)))


def prepare_codecs(resolved, real, monkeypatch):
    """The codecs of the rows as they were."""
    broken = type(resolved.config.dataset).rows
    monkeypatch.setattr(type(resolved.config.dataset), "rows", real)
    codecs = prepare(resolved).codecs
    monkeypatch.setattr(type(resolved.config.dataset), "rows", broken)
    return codecs


def test_a_learner_begins_with_the_weights_of_another_run(tiny, tmp_path):
    run(tiny(), tmp_path / "first")
    second = tiny(f"training.init_from={tmp_path / 'first'}")
    train(second, tmp_path / "second", prepared=Media.of(second), progress=False)
    other = tiny(f"training.init_from={tmp_path / 'first'}", "dataset.count=30")
    with pytest.raises(TrainingError, match="its codecs, or its tokenizer, are others"):
        run(other, tmp_path / "third")
    assert attrs.asdict(second.config.training)["init_from"] == tmp_path / "first"
