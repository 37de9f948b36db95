"""JointEngine: any segments from any others."""

import numpy as np
import pytest

from aios_core.contracts import Sound
from aios_core.errors import DataError, InferenceError
from aios_core.experiment.joint import evaluate_joint, is_joint, run_joint
from aios_core.joint.engine import JointEngine
from aios_core.joint.material import Media
from aios_core.joint.trained import load

NAMES = ("text", "image", "audio")


@pytest.fixture
def engine(tiny, tmp_path):
    from aios_core.training.trainer import train

    resolved = tiny()
    train(resolved, tmp_path, prepared=Media.of(resolved), progress=False)
    return JointEngine(load(tmp_path, registry=resolved.registry))


def items(engine):
    rows = list(engine.trained.resolved.config.dataset.rows("validation"))
    return {segment.name: segment.content for segment in rows[0].segments}


def test_every_direction_gives_items_of_its_kind(engine):
    real = items(engine)
    for given in NAMES:
        for made in NAMES:
            if given != made:
                output = engine.generate({given: real[given]}, to=[made], num_return_sequences=2)
                assert 2 == len(output.items[made])
                for item, like in zip(output.items[made], [real[made]] * 2, strict=True):
                    assert type(item) is type(like)
    output = engine.generate({}, to=NAMES, order=[["text"], ["image", "audio"]])
    assert output.items["text"][0] in {"low", "high", ""}
    assert output.shown["image"][0].data.startswith(b"\x89PNG")
    assert output.shown["audio"][0].data.startswith(b"RIFF")


def test_calls_are_those_of_the_longest_segment_and_never_the_sum(engine):
    output = engine.generate({"text": "low"}, to=["image", "audio"], num_inference_steps=5)
    assert 5 == output.nfe
    staged = engine.generate(
        {}, to=NAMES, num_inference_steps=5, order=[["text"], ["image", "audio"]]
    )
    assert 10 >= staged.nfe


def test_a_row_depends_on_its_seed_and_not_on_its_batch_mates(engine):
    """M22."""
    asked = {"text": "low"}
    many = engine.generate(asked, to=["image"], num_return_sequences=3, seed=5)
    alone = engine.generate(asked, to=["image"], num_return_sequences=1, seed=5)

    assert np.abs(many.items["image"][0].astype(int) - alone.items["image"][0]).max() <= 1
    again = engine.generate(asked, to=["image"], num_return_sequences=3, seed=5)
    for first, second in zip(many.items["image"], again.items["image"], strict=True):
        assert np.array_equal(first, second)
    other = engine.generate(asked, to=["image"], num_return_sequences=3, seed=6)
    assert not np.array_equal(many.items["image"][0], other.items["image"][0])


def test_what_is_not_painted_anew_stays_to_the_bit(engine):
    """M23."""
    picture = items(engine)["image"]
    mask = np.zeros((4, 4), bool)
    mask[:, 3] = True
    made = engine.generate({"image": picture}, to=["image"], mask=mask).items["image"][0]

    assert np.array_equal(picture[:, :3], made[:, :3])
    with pytest.raises(DataError, match="the mask has shape"):
        engine.generate({"image": picture}, to=["image"], mask=np.ones((2, 2), bool))
    with pytest.raises(InferenceError, match="expected a mask of what is to be painted anew"):
        engine.generate({"image": picture}, to=["image"])
    with pytest.raises(InferenceError, match="a mask is for a picture that is given and"):
        engine.generate({"text": "low"}, to=["image"], mask=mask)


def test_a_sound_goes_on_from_what_is_given(engine):
    sound = items(engine)["audio"]
    begun = Sound(sound.samples[:160], 1000)
    codec = engine.trained.codecs["audio"]
    known = codec.known(begun)
    assert 0 < known.sum() < len(known)
    output = engine.generate({"audio": begun}, to=["audio"])

    assert 256 == len(output.items["audio"][0].samples)


def test_guidance_of_one_changes_nothing_and_more_asks_twice(engine):
    """M7."""
    plain = engine.generate({"text": "low"}, to=["image"], seed=1)
    same = engine.generate({"text": "low"}, to=["image"], seed=1, guidance_scale={"text": 1.0})
    more = engine.generate({"text": "low"}, to=["image"], seed=1, guidance_scale=3.0)

    assert np.array_equal(plain.items["image"][0], same.items["image"][0])
    assert not np.array_equal(plain.items["image"][0], more.items["image"][0])


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ({"text": "low"}, {"to": ["video"]}, "no modality 'video' in this run; expected one of"),
        ({"text": "low"}, {"to": []}, "expected names, each once"),
        ({"text": "low"}, {"to": ["image"], "guidance_scale": {"audio": 2}}, "which is not given"),
        ({"text": "low"}, {"to": ["image"], "guidance_scale": np.nan}, "expected a finite number"),
        ({"text": "low"}, {"to": ["image"], "order": [["audio"]]}, "order has|was never trained"),
        ({"text": "low"}, {"to": ["image"], "num_return_sequences": 0}, "expected at least 1"),
    ],
)
def test_what_cannot_be_made_is_refused(engine, given, options, words):
    with pytest.raises(InferenceError, match=words):
        engine.generate(given, **options)


def test_an_item_that_is_none_of_its_modality_is_refused(engine):
    with pytest.raises(DataError, match="text: 'medium' has the word 'medium', which no text"):
        engine.generate({"text": "medium"}, to=["image"])
    with pytest.raises(DataError, match="image: is a picture of 5 x 4"):
        engine.generate({"image": np.zeros((5, 4, 1), np.uint8)}, to=["text"])


def test_a_run_is_measured_in_every_direction(tiny, tmp_path):
    resolved = tiny("dataset.count=60")
    media = Media.of(resolved)
    _, results = run_joint(resolved, tmp_path, media, progress=False)

    assert is_joint(tmp_path)
    assert is_joint(tmp_path / "checkpoints/step-000006")
    assert not is_joint(tmp_path / "nothing")
    names = set(results["samples"]["metrics"])
    for given in NAMES:
        for made in NAMES:
            assert (given != made) == (f"{given}>{made}.accuracy" in names)
    assert ">text+image+audio.agreement" in names
    assert results["model"]["trunk_share"] > 0.5
    assert (tmp_path / "samples/text-to-image/image-0.png").is_file()
    assert (tmp_path / "samples/to-text+image+audio/audio-0.wav").is_file()
    again = evaluate_joint(tmp_path, registry=resolved.registry)
    assert again["samples"]["metrics"] == results["samples"]["metrics"]
    other = Media.of(tiny("dataset.count=50"))
    with pytest.raises(DataError, match="was trained on other rows than there are now"):
        evaluate_joint(tmp_path, registry=resolved.registry, media=other)
