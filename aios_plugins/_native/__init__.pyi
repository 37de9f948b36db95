# Types of the compiled extension, which lies beside this folder and wins over it at import.

from . import arrow_quant as arrow_quant
from . import fast_tokenizer as fast_tokenizer

__all__ = ["__version__", "arrow_quant", "fast_tokenizer"]

__version__: str
