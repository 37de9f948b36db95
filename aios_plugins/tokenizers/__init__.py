"""The default tokenizers, one a file; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_tokenizers() -> dict[str, str]:
    """Names and where they are defined."""
    return {
        "bpe": "aios_plugins.tokenizers.bpe:Bpe",
        "bytes": "aios_plugins.tokenizers.bytes:Bytes",
        "hf": "aios_plugins.tokenizers.hf:Hf",
        "tiktoken": "aios_plugins.tokenizers.tiktoken:Tiktoken",
    }
