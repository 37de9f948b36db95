"""The default formats of files of tensors, by suffix; each is imported only when it is used."""

import aios_core

AIOS_API = 1


@aios_core.hookimpl
def aios_tensor_formats() -> dict[str, str]:
    """Suffixes and where their formats are defined."""
    return {
        "bin": "aios_plugins.tensor_formats.torch_file:TorchFile",
        "parquet": "aios_plugins.tensor_formats.parquet:Parquet",
        "pt": "aios_plugins.tensor_formats.torch_file:TorchFile",
        "pth": "aios_plugins.tensor_formats.torch_file:TorchFile",
        "safetensors": "aios_plugins.tensor_formats.safetensors_file:Safetensors",
        "safetensors-index-json": "aios_plugins.tensor_formats.safetensors_index:SafetensorsIndex",
    }
