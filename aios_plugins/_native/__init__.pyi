# Types of the compiled extension, which lies beside this folder and wins over it at import.

from . import arrow_quant as arrow_quant
from . import arrow_storage as arrow_storage
from . import fast_tokenizer as fast_tokenizer
from . import vector_search as vector_search

__all__ = ["__version__", "arrow_quant", "arrow_storage", "fast_tokenizer", "vector_search"]

__version__: str
