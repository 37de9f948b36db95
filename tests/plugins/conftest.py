"""A tokenizer of a model as it is published, with special tokens of its own."""

import json

import pytest

from aios_plugins.tokenizers.bpe import Bpe
from aios_plugins.tokenizers.hf import Hf


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The folder of such a tokenizer, and with a chat template if one is given."""
    trained = tmp_path_factory.mktemp("trained")
    Bpe(vocab_size=280, min_frequency=1).train(["User: hello\nAssistant: the answer"] * 9).save(
        trained
    )
    document = json.loads((trained / "tokenizer.json").read_text())
    names = ("<|im_start|>", "<|im_end|>", "</s>")
    document["added_tokens"] += [
        document["added_tokens"][0] | {"id": len(document["model"]["vocab"]) + i, "content": name}
        for i, name in enumerate(names)
    ]

    def published(template=None, *, own_file=False, **config):
        folder = tmp_path_factory.mktemp("published")
        (folder / "tokenizer.json").write_text(json.dumps(document))
        if own_file:
            (folder / "chat_template.jinja").write_text(template)
        elif template is not None:
            config = {"chat_template": template, **config}
        if config:
            (folder / "tokenizer_config.json").write_text(json.dumps(config))
        return folder

    return published


@pytest.fixture(scope="session")
def named(published):
    """The tokenizer, without a template, and its special tokens by name."""
    tokenizer = Hf(file=published() / "tokenizer.json").train([])
    return tokenizer, tokenizer.engine.special_tokens()
